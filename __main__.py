"""`python -m livetint` does what the command `livetint` does. CMakeLists.txt installs this file into the package."""

from livetint.cli.__main__ import main

if __name__ == "__main__":
    main()
