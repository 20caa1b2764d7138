from codequay.contract import contract_tests

TestContract = contract_tests("chunks.mariadb", strict=True)
