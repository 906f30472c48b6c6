// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {Cid} from "../../libraries/Cid.sol";
import {Test} from "../Vm.sol";

contract CidTest is Test {
    function text(bytes32 digest, uint8 codec) external pure returns (string memory) {
        return Cid.toString(digest, codec);
    }

    function test_toString_matchesTheReference() public view {
        string memory json = vm.readFile("tests/vectors/cid.json");
        for (uint256 c = 0; c < 16; ++c) {
            string memory path = string.concat("$.cases[", vm.toString(c), "]");
            bytes32 digest = vm.parseJsonBytes32(json, string.concat(path, ".digest"));
            uint256 codec = vm.parseJsonUint(json, string.concat(path, ".codec"));
            vm.assertEq(
                Cid.toString(digest, uint8(codec)),
                vm.parseJsonString(json, string.concat(path, ".cid"))
            );
        }
    }

    /// Digit by digit, each five bits of the 36 bytes with zeros behind them.
    function testFuzz_toString_isBase32OfVersionCodecHashAndDigest(
        bytes32 digest,
        uint8 codec
    ) public pure {
        codec &= 0x7f;
        bytes memory raw = abi.encodePacked(hex"01", codec, hex"1220", digest, hex"0000");
        bytes memory given = bytes(Cid.toString(digest, codec));
        vm.assertEq(given.length, 59);
        vm.assertTrue(given[0] == "b");
        for (uint256 i = 0; i < 58; ++i) {
            uint256 bit = 5 * i;
            uint256 word = (uint256(uint8(raw[bit / 8])) << 8) | uint8(raw[bit / 8 + 1]);
            uint256 digit = (word >> (11 - (bit % 8))) & 31;
            vm.assertEq(uint8(given[i + 1]), digit < 26 ? 97 + digit : 24 + digit);
        }
    }

    function testFuzz_toString_refusesACodecOfTwoBytes(bytes32 digest, uint8 codec) public {
        codec |= 0x80;
        vm.expectRevert(abi.encodeWithSelector(Cid.CodecTooLarge.selector, codec, 0x7f));
        this.text(digest, codec);
    }
}
