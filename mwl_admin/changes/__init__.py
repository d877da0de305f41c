"""What has changed of the entries: noted by the database itself, whoever writes, and read along a cursor."""
