"""Named models: versions with what is known of them, and stages that point to one."""
