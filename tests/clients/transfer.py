"""boto3's transfers over AWS's Common Runtime: sends a file to S3, and fetches it back.

    python transfer.py BUCKET KEY FILE BACK

In parts of 5 MiB. The runtime takes the proxy from HTTPS_PROXY and trusted roots from SSL_CERT_FILE, not from
AWS_CA_BUNDLE.
"""

import os
import sys

import boto3
import boto3.crt
from boto3.s3.transfer import TransferConfig

PART = 5 << 20
# boto3 falls back to transfers of its own while another process holds this lock.
boto3.crt.PROCESS_LOCK_NAME = f"transfer-{os.getpid()}"


def main(bucket, key, file, back):
    s3 = boto3.client("s3")
    config = TransferConfig(preferred_transfer_client="crt", multipart_threshold=PART, multipart_chunksize=PART)
    s3.upload_file(file, bucket, key, Config=config)
    s3.download_file(bucket, key, back, Config=config)


if __name__ == "__main__":
    main(*sys.argv[1:])
