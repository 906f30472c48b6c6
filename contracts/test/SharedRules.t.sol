// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Ledger} from "../libraries/Ledger.sol";
import {Numbers} from "../libraries/Numbers.sol";
import {Reputation} from "../libraries/Reputation.sol";
import {Scores} from "../libraries/Scores.sol";
import {Test} from "./Vm.sol";

interface IntVm {
    function parseJsonInt(string calldata json, string calldata key) external pure returns (int256);
}

/// What Python reads too, held against the same files as it (tests/unit/test_vectors.py).
contract SharedRulesTest is Test {
    function test_numbersThatBothNameAreTheSame() public view {
        string memory json = vm.readFile("tests/vectors/rules.json");
        vm.assertEq(Ledger.RING, vm.parseJsonUint(json, "$.cases[0].ring"));
        vm.assertEq(Ledger.MAX_UPDATES, vm.parseJsonUint(json, "$.cases[0].maxUpdates"));
        vm.assertEq(Reputation.START, vm.parseJsonUint(json, "$.cases[0].startReputation"));
        IntVm ints = IntVm(address(vm));
        vm.assertEq(Scores.LOWEST, ints.parseJsonInt(json, "$.cases[0].lowestScore"));
        vm.assertEq(Scores.HIGHEST, ints.parseJsonInt(json, "$.cases[0].highestScore"));
        vm.assertEq(Scores.UNAVAILABLE, ints.parseJsonInt(json, "$.cases[0].unavailable"));
        vm.assertEq(Scores.MALFORMED, ints.parseJsonInt(json, "$.cases[0].malformed"));
    }

    function test_idOf_isTheWindowTimesSixteenAndTheIndex() public pure {
        vm.assertEq(Ledger.idOf(5, 3), 16 * 5 + 3);
    }

    function test_numbers_arePackedAsPythonReadsThem() public view {
        string memory json = vm.readFile("tests/vectors/numbers.json");
        for (uint256 c = 0; c < 16; ++c) {
            string memory path = string.concat("$.cases[", vm.toString(c), "]");
            uint256[] memory values = vm.parseJsonUintArray(json, string.concat(path, ".values"));
            bytes memory list = Numbers.room(values.length);
            for (uint256 i = 0; i < values.length; ++i) Numbers.set(list, i, values[i]);
            vm.assertEq(list, vm.parseJsonBytes(json, string.concat(path, ".packed")));
        }
    }

    function test_commitments_areHashedAsPythonHashesThem() public view {
        string memory json = vm.readFile("tests/vectors/commitment.json");
        for (uint256 c = 0; c < 4; ++c) {
            string memory path = string.concat("$.cases[", vm.toString(c), "].");
            bytes32 hash = keccak256(
                abi.encode(
                    vm.parseJsonUint(json, string.concat(path, "chainId")),
                    address(bytes20(vm.parseJsonBytes(json, string.concat(path, "federation")))),
                    vm.parseJsonUint(json, string.concat(path, "window")),
                    vm.parseJsonUint(json, string.concat(path, "tag")),
                    address(bytes20(vm.parseJsonBytes(json, string.concat(path, "validator")))),
                    vm.parseJsonBytes(json, string.concat(path, "packedScores")),
                    vm.parseJsonUint(json, string.concat(path, "keep")),
                    vm.parseJsonBytes32(json, string.concat(path, "salt"))
                )
            );
            vm.assertEq(hash, vm.parseJsonBytes32(json, string.concat(path, "commitment")));
        }
    }
}
