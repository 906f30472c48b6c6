// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Scores} from "../../libraries/Scores.sol";
import {Test} from "../Vm.sol";

contract ScoresTest is Test {
    function isScore(int16 score) private pure returns (bool) {
        return (score >= -10_000 && score <= 9_990) || score == -32_768 || score == -32_767;
    }

    /// @dev In every lane what a score may be, or nearly.
    function anyRow(uint256 seed) private pure returns (bytes32 row) {
        int16[8] memory odd = [int16(-32_768), -32_767, -10_000, 9_990, 0, -1, -8_192, -4_096];
        for (uint256 i = 0; i < 16; ++i) {
            uint256 some = uint256(keccak256(abi.encode(seed, i)));
            int16 score =
                some % 3 == 0 ? odd[(some >> 8) % 8] : int16(int256((some >> 8) % 19_991) - 10_000);
            row |= bytes32(uint256(uint16(score)) << (240 - 16 * i));
        }
    }

    function testFuzz_unpack_isWhatWasPacked(uint256 seed, uint8 keep) public pure {
        bytes32 row = anyRow(seed);
        (, bool isValid) = Scores.firstInvalid(row);
        vm.assertTrue(isValid);
        keep &= 31;
        (bytes32 scores, uint256 kept) = Scores.unpack(Scores.pack(row, keep));
        vm.assertEq(scores, row);
        vm.assertEq(kept, keep);
    }

    /// @notice For `scripts/prove`, which tries them all: few random words are scores.
    function testFuzz_unpack_undoesPackForAllScores(bytes32 row, uint8 keep) public pure {
        (, bool isValid) = Scores.firstInvalid(row);
        if (!isValid) return;
        keep &= 31;
        (bytes32 scores, uint256 kept) = Scores.unpack(Scores.pack(row, keep));
        vm.assertEq(scores, row);
        vm.assertEq(kept, keep);
    }

    function testFuzz_withSeat_changesNothingElse(
        bytes32 word,
        uint8 seat,
        uint8 other
    ) public pure {
        (seat, other) = (seat & 63, other & 63);
        bytes32 seated = Scores.withSeat(word, seat);
        vm.assertEq(Scores.seatOf(seated), seat);
        vm.assertEq(Scores.withoutSeat(seated), Scores.withoutSeat(word));
        vm.assertEq(Scores.withSeat(seated, other), Scores.withSeat(word, other));
        (bytes32 scores, uint256 keep) = Scores.unpack(word);
        (bytes32 same, uint256 kept) = Scores.unpack(seated);
        vm.assertEq(scores, same);
        vm.assertEq(keep, kept);
    }

    function testFuzz_firstInvalid_findsIt(bytes32 row) public pure {
        (uint256 index, bool isValid) = Scores.firstInvalid(row);
        uint256 first;
        while (first < 16 && isScore(Scores.scoreAt(row, first))) ++first;
        vm.assertEq(isValid, first == 16);
        if (!isValid) vm.assertEq(index, first);
    }

    /// @notice Every score there is, in every lane.
    function test_firstInvalid_knowsEveryScore() public pure {
        for (int256 score = type(int16).min; score <= type(int16).max; ++score) {
            uint256 lane = uint256(score) % 16;
            bytes32 row = bytes32(uint256(uint16(int16(score))) << (240 - 16 * lane));
            (uint256 index, bool isValid) = Scores.firstInvalid(row);
            if (isValid != isScore(int16(score)) || (!isValid && index != lane)) {
                vm.assertEq(score, 0, "misjudged");
            }
        }
    }
}
