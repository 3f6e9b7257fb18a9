"""The command line. Every command is a module with `main(arguments) -> exit code`, imported when it is called."""
