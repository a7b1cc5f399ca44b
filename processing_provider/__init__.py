"""The Processing provider: one file per algorithm, each turns parameters into a job and a result into layers."""
