"""Stand-ins for telephony vendors over HTTP, and the documents their requests are judged by."""
