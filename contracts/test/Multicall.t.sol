// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract MulticallTest is Setup {
    function setUp() public {
        deployRunning(tiny(), 4);
    }

    function _call(bytes memory first, bytes memory second) private pure returns (bytes memory) {
        bytes[] memory calls = new bytes[](2);
        (calls[0], calls[1]) = (first, second);
        return abi.encodeCall(IFederation.multicall, (calls));
    }

    function test_multicall_actsForItsCaller() public {
        submitAs(trainers[0]);
        submitAs(trainers[1]);
        for (uint256 i = 0; i < 3; ++i) revealAs(validators[i]);
        IFederation.Window memory w = judged();
        bytes memory reveal = abi.encodeCall(
            IFederation.revealScores,
            (w.id, w.tag, 1, encode(list(100)), 0)
        );
        vm.prank(validators[3]);
        (bool done, ) = address(federation).call(
            _call(reveal, abi.encodeCall(IFederation.tally, (w.id, authorsOf(w.id), validators)))
        );
        vm.assertTrue(done);
        vm.assertEq(judged().revealed, 15);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Attest));
    }

    function test_multicall_undoesAllWithTheFirstRefusal() public {
        bytes memory submit = abi.encodeCall(IFederation.submitUpdate, (0, newDigest(), RAW, 0, 1));
        bytes4 refusal = IFederation.BaseNotNewer.selector;
        refuses(trainers[0], _call(submit, submit), abi.encodeWithSelector(refusal, 0, 0));
        vm.assertEq(federation.head().openWindow, 1);
    }

    /// One payment cannot be counted twice: the whole takes none.
    function test_multicall_takesNoMoney() public {
        bytes memory join = abi.encodeCall(IFederation.join, (TRAINER, bytes32(0), STAKE));
        bytes4 refusal = IFederation.WrongAmount.selector;
        refuses(address(this), _call(join, join), abi.encodeWithSelector(refusal, 0, STAKE));
        refuses(address(this), STAKE, _call(join, join), "");
    }
}
