"""Qualification: does an inspector agree with people, and does its line stay as it was?"""
