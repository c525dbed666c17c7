from fitcheck.cli.main import main

main()
