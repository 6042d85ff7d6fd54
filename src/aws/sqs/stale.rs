//! The failures by which SQS reports a stale receipt.

use crate::aws::Failure;

/// Whether a failed entry of a delete or of a visibility change says that the receipt is no longer valid: the message
/// has, or can have, a new owner. Every other failure leaves the receipt valid until its visibility timeout lapses.
///
/// SQS reports an old receipt under several codes (Amazon SQS API reference, `DeleteMessage` and
/// `ChangeMessageVisibility`). `InvalidParameterValue` is about the receipt unless its text names the visibility
/// timeout, which SQS refuses to extend beyond 12 hours from the receive.
pub(super) fn is_stale_receipt(failure: &Failure) -> bool {
    let code = failure.code.as_deref().unwrap_or_default();
    match code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code) {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidIdFormat" => true,
        "InvalidParameterValue" => !failure.message.contains("VisibilityTimeout"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_errors_about_the_receipt_make_it_stale() {
        let is_stale = |code, text| is_stale_receipt(&Failure::of_entry(code, Some(text), true));
        for (code, text) in [
            ("ReceiptHandleIsInvalid", "The input receipt handle is invalid."),
            ("AWS.SimpleQueueService.MessageNotInflight", ""),
            ("InvalidIdFormat", ""),
            (
                "InvalidParameterValue",
                "Value A for parameter ReceiptHandle is invalid. Reason: The receipt handle has expired.",
            ),
            (
                "InvalidParameterValue",
                "Value A for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for \
                 visibility timeout change.",
            ),
            ("InvalidParameterValue", ""),
        ] {
            assert!(is_stale(code, text), "{code}: {text}");
        }
        for (code, text) in [
            ("AccessDenied", "no identity-based policy allows the sqs:DeleteMessage action"),
            ("KmsAccessDenied", ""),
            ("RequestThrottled", ""),
            ("SomethingNew", ""),
            (
                "InvalidParameterValue",
                "Value 60 for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is \
                 beyond the limit [43200 seconds]",
            ),
        ] {
            assert!(!is_stale(code, text), "{code}: {text}");
        }
        assert!(!is_stale_receipt(&Failure::unanswered()));
    }
}
