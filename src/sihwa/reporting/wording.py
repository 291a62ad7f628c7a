"""Names and notes of the figures, and names of the corruptions, by key."""

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
    "corruption_noise": "sensor noise",
    "corruption_uneven_light": "uneven light",
    "corruption_motion": "motion blur",
    "corruption_jpeg": "JPEG compression",
}
