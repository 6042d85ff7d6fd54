"""The same consumer with AWS's extended client, which fetches the JSON of large events itself.

    QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/210987654321/events python extended.py
"""

# The import replaces the session of boto3, so it comes before the first client. It does not delete objects by default.
import sqs_extended_client  # noqa: F401, I001

import consumer

consumer.main()
