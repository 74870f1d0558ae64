"""A hub: repositories on one machine, accounts that reach them over SSH, and what each account may do."""
