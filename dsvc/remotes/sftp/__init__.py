"""A folder on a host without dsvc, reached by SFTP."""
