"""Every sentence a report shows, by key; another language is another mapping of these keys."""

from collections.abc import Mapping
from types import MappingProxyType

ENGLISH: Mapping[str, str] = MappingProxyType(
    {
        "language": "en",
        "subtitle": "{count} test images, {class_count} classes",
        "accuracy": "Accuracy",
        "accuracy_note": "images named right",
        "balanced_accuracy": "Balanced accuracy",
        "balanced_accuracy_note": "mean recall of the classes",
        "macro_f1": "Macro F1",
        "macro_f1_note": "mean F1 of the classes",
        "escapes": "Escapes",
        "escapes_note": "defective, but accepted",
        "overkill": "Overkill",
        "overkill_note": "good, but rejected",
        "expected_calibration_error": "Calibration error",
        "expected_calibration_error_note": "gap between stated and true, 0 is perfect",
        "log_loss": "Log loss",
        "log_loss_note": "in nats, 0 is perfect",
        "recall": "Recall",
        "recall_note": "its images that were found",
        "precision": "Precision",
        "precision_note": "what bears its name rightly",
        "weakest_recall": "Weakest recall",
        "of": "{occurrences} of {count}",
        "interval": "{confidence} interval",
        "images": "Images",
        "figure": "Figure",
        "value": "Value",
        "method": "Method",
        "class": "Class",
        "total": "Total",
        "accepted_class": "good",
        "no_image": "no image of it",
        "never_predicted": "never predicted",
        "proof_heading": "What these figures prove",
        "proof_no_error": (
            "Not one of {count} test images was named wrong. That does not make the error rate "
            "zero: at {confidence} confidence the data prove that it is at most {bound}."
        ),
        "proof_errors": (
            "{errors} of {count} test images were named wrong. At {confidence} confidence the "
            "data prove that the true error rate is at most {bound}."
        ),
        "proof_escapes": (
            "{escapes} of {count} images of defects were accepted: at {confidence} confidence "
            "at most {bound} of defective parts escape. To prove an escape rate of 1 % takes "
            "{needed} defective images without a single escape."
        ),
        "proof_no_defect": (
            "The test images show no defective part: nothing is known about escapes."
        ),
        "proof_rarest": (
            "The fewest test images of a class are the {count} of “{name}”. At {confidence} "
            "confidence its recall lies in {interval}; only more images of it narrow that."
        ),
        "proof_limits": (
            "All of this holds for images like the test images: the same camera, light, "
            "parts and kinds of defect. It says nothing about a defect of no class in this list, "
            "nor about the line after a change. The labels are taken as the truth, their "
            "mistakes included."
        ),
        "figures_heading": "Figures",
        "figures_note": (
            "An interval bounds a figure from both sides; “at most” above bounds it from one, and "
            "so lies lower at the same confidence. "
            "Exact intervals never cover the true rate less often than stated. Simulated ones "
            "redraw the rows of the confusion matrix as if one more image had been wrong, so "
            "that few errors never look like certainty. The calibration error's is widened to "
            "what a perfectly calibrated inspector would show, and to what the accuracy's "
            "interval allows."
        ),
        "classes_heading": "Class by class",
        "confusion_heading": "What was taken for what",
        "confusion_note": "Rows: true class. Columns: what the inspector said.",
        "reliability_heading": "Is a stated probability true?",
        "reliability_note": (
            "One circle per range of stated probability, its area the number of images. On "
            "the line, 90 % means right 9 times in 10; below it, the inspector claims too much."
        ),
        "stated": "stated probability",
        "observed": "share that was right",
        "errors_heading": "The worst errors",
        "errors_none": "No test image was named wrong.",
        "errors_missing": "{total} test images were named wrong; none of them is shown here.",
        "errors_note": (
            "{shown} of {total} wrong images, the most confident first. Coloured: where the "
            "inspector looked, which is not yet why. A wrong label looks the same as an error: "
            "judge the image first."
        ),
        "errors_note_plain": (
            "{shown} of {total} wrong images, the most confident first. A wrong label looks "
            "the same as an error: judge the image first."
        ),
        "was": "label",
        "said": "said",
        "evidence": "evidence",
        "data_heading": "Images by class and split",
        "robustness_heading": "Under a worse camera",
        "robustness_note": (
            "The same test images, corrupted at five strengths; 3 is moderate. Accuracy, with "
            "its interval."
        ),
        "corruption": "Corruption",
        "as_it_is": "as it is",
        "corruption_noise": "sensor noise",
        "corruption_uneven_light": "uneven light",
        "corruption_motion": "motion blur",
        "corruption_jpeg": "JPEG compression",
        "curves_heading": "How it was trained",
        "curves_note": "By epoch, from the first to the last; none of it from test images.",
        "curve_last": "last {value}",
        "facts_heading": "This run",
    }
)
