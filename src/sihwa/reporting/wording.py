"""The names of figures, and the sentences of the report, by key."""

WORDS = {
    "accuracy": "Accuracy",
    "accuracy_note": "share of images given the right label",
    "balanced_accuracy": "Balanced accuracy",
    "balanced_accuracy_note": "mean recall over the classes",
    "macro_f1": "Macro F1",
    "macro_f1_note": "mean F1 over the classes",
    "escapes": "Escapes",
    "escapes_note": "share of defective images accepted",
    "overkill": "Overkill",
    "overkill_note": "share of good images rejected",
    "expected_calibration_error": "Calibration error",
    "expected_calibration_error_note": (
        "mean gap between stated probability and observed accuracy, 0 is perfect"
    ),
    "log_loss": "Log loss",
    "log_loss_note": "in nats, 0 is perfect",
    "recall": "Recall",
    "recall_note": "share of its images given this label",
    "precision": "Precision",
    "precision_note": "share of images given this label that belong to it",
    "weakest_recall": "Weakest recall",
    "proof_no_error": (
        "None of {count} test images got a wrong label. That does not make the error rate "
        "zero: at {confidence} confidence the data prove that it is at most {bound}."
    ),
    "proof_errors": (
        "{errors} of {count} test images got a wrong label. At {confidence} confidence the "
        "data prove that the true error rate is at most {bound}."
    ),
    "proof_escapes": (
        "{escapes} of {count} images of defects were accepted: at {confidence} confidence "
        "at most {bound} of defective parts escape. To prove an escape rate of 1 % takes "
        "{needed} defective images without a single escape."
    ),
    "proof_no_defect": ("No test image shows a defective part, so nothing is known about escapes."),
    "proof_rarest": (
        "The rarest class in the test is “{name}” with {count} images. At {confidence} "
        "confidence its recall lies in {interval}; only more images of it narrow that."
    ),
    "proof_limits": (
        "All of this holds for images like the test images: the same camera, light, "
        "parts and kinds of defect. It says nothing about a defect of no class in this list, "
        "nor about the line after a change. The labels are taken as the truth, their "
        "mistakes included."
    ),
    "errors_none": "No test image got a wrong label.",
    "errors_note": (
        "{shown} of {total} wrong images, the most confident first. The overlay shows where "
        "the evidence for the predicted class lies, not why. A mistake in the labels looks "
        "like an error here: judge the image first."
    ),
    "corruption_noise": "sensor noise",
    "corruption_uneven_light": "uneven light",
    "corruption_motion": "motion blur",
    "corruption_jpeg": "JPEG compression",
}


def sentence(key: str, **values: object) -> str:
    """Return a text of `WORDS` with its values filled in."""
    return WORDS[key].format(**values)
