// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract CommitScoresTest is Setup {
    bytes32 private constant COMMITMENT = keccak256("commitment");
    uint64 private _tag;

    function setUp() public {
        deployRunning(usual(), 5);
        fillWindow();
        _tag = judged().tag;
    }

    function _refuses(address who, uint32 window, uint64 tag, bytes memory refusal) private {
        refuses(who, abi.encodeCall(IFederation.commitScores, (window, COMMITMENT, tag)), refusal);
    }

    function _wrongPhase(IFederation.Phase current) private pure returns (bytes memory) {
        return
            abi.encodeWithSelector(
                IFederation.WrongPhase.selector,
                1,
                current,
                IFederation.Phase.Commit
            );
    }

    function testFuzz_commitScores_recordsACommitment(bytes32 commitment, uint8 who) public {
        who = uint8(bound(uint256(who), 0, 4));
        vm.expectEmit(address(federation));
        emit IFederation.ScoresCommitted(1, validators[who], commitment);
        vm.prank(validators[who]);
        federation.commitScores(1, commitment, _tag);
        vm.assertEq(judged().committed, uint256(1) << who);
        vm.assertEq(judged().revealed, 0);
        vm.assertEq(federation.commitmentOf(who), kept(commitment));
        vm.assertEq(federation.commitmentOf((who + 1) % 5), 0);
    }

    function test_commitScores_takesTheLastSecondAndNoLater() public {
        vm.warp(judged().deadline);
        commitAs(validators[0]);
        jump(1);
        _refuses(validators[1], 1, _tag, _wrongPhase(IFederation.Phase.Reveal));
    }

    function test_commitScores_hasNothingToWaitForWhenNobodyCommitted() public {
        passDeadline();
        _refuses(validators[1], 1, _tag, _wrongPhase(IFederation.Phase.Tally));
    }

    function test_commitScores_beginsTheRevealsWhenAllHave() public {
        jump(60);
        for (uint256 i = 0; i < 4; ++i) commitAs(validators[i]);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Commit));
        commitAs(validators[4]);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Reveal));
        vm.assertEq(judged().deadline, time() + 15 minutes, "brought forward");
        _refuses(validators[0], 1, _tag, _wrongPhase(IFederation.Phase.Reveal));
    }

    function test_commitScores_leavesTheRevealDeadlineWhereItWasOtherwise() public {
        uint256 end = judged().deadline;
        commitAs(validators[0]);
        vm.warp(end + 1);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Reveal));
        vm.assertEq(judged().deadline, end + 15 minutes);
    }

    function test_commitScores_refusesASecond() public {
        commitAs(validators[0]);
        bytes4 refusal = IFederation.AlreadyActed.selector;
        _refuses(validators[0], 1, _tag, abi.encodeWithSelector(refusal, validators[0]));
    }

    function testFuzz_commitScores_refusesAnotherTag(uint64 tag) public {
        vm.assume(tag != _tag);
        bytes memory refusal = abi.encodeWithSelector(IFederation.WrongTag.selector, tag, _tag);
        _refuses(validators[0], 1, tag, refusal);
    }

    function test_commitScores_refusesAnotherWindow() public {
        bytes4 refusal = IFederation.NotJudgedNow.selector;
        _refuses(validators[0], 2, _tag, abi.encodeWithSelector(refusal, 2, 1));
        _refuses(validators[0], 0, _tag, abi.encodeWithSelector(refusal, 0, 1));
        judge();
        _refuses(validators[0], 1, _tag, abi.encodeWithSelector(refusal, 1, 0));
        _refuses(validators[0], 0, 0, abi.encodeWithSelector(refusal, 0, 0));
    }

    function test_commitScores_refusesWhoDoesNotJudge() public {
        bytes4 refusal = IFederation.NotActiveValidator.selector;
        address newcomer = joinValidator(STAKE);
        _refuses(newcomer, 1, _tag, abi.encodeWithSelector(refusal, newcomer));
        _refuses(trainers[0], 1, _tag, abi.encodeWithSelector(refusal, trainers[0]));
        _refuses(address(this), 1, _tag, abi.encodeWithSelector(refusal, address(this)));
    }

    function test_commitScores_refusesWhereScoresAreRevealedDirectly() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(4);
        fillWindow();
        _refuses(validators[0], 1, judged().tag, _wrongPhase(IFederation.Phase.Reveal));
    }
}
