"""Create, update and delete the stack in the user's AWS account. Every change needs a confirmation."""
