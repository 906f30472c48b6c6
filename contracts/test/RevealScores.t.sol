// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract RevealScoresTest is Setup {
    bytes32 private constant SALT = keccak256("salt");
    uint64 private _tag;

    function setUp() public {
        deployRunning(usual(), 5);
        fillWindow();
        _tag = judged().tag;
    }

    function _call(bytes memory scores, uint8 keep) private view returns (bytes memory) {
        return abi.encodeCall(IFederation.revealScores, (1, _tag, keep, scores, SALT));
    }

    function _commit(address who, bytes memory scores, uint8 keep) private {
        vm.prank(who);
        bytes32 commitment = commitmentTo(who, 1, _tag, scores, keep, SALT);
        federation.commitScores(1, commitment, _tag);
    }

    function _wrongPhase(IFederation.Phase current) private pure returns (bytes memory) {
        return
            abi.encodeWithSelector(
                IFederation.WrongPhase.selector,
                1,
                current,
                IFederation.Phase.Reveal
            );
    }

    /// @dev Any number becomes a score or a code.
    function _score(uint16 seed) private pure returns (int16) {
        if (seed % 8 == 0) return seed % 16 == 0 ? UNAVAILABLE : MALFORMED;
        return int16(int256(uint256(seed) % 19_991) - 10_000);
    }

    // ----- What it takes -----

    function testFuzz_revealScores_takesWhatWasCommitted(
        uint16[4] memory seeds,
        uint8 keep,
        bytes32 salt
    ) public {
        bytes memory scores = encode(
            list(_score(seeds[0]), _score(seeds[1]), _score(seeds[2]), _score(seeds[3]))
        );
        keep = uint8(bound(uint256(keep), 0, 4));
        address who = validators[3];
        bytes32 commitment = commitmentTo(who, 1, _tag, scores, keep, salt);
        vm.prank(who);
        federation.commitScores(1, commitment, _tag);
        passDeadline();
        vm.expectEmit(address(federation));
        emit IFederation.ScoresRevealed(1, who, bytes32(scores), keep);
        vm.prank(who);
        federation.revealScores(1, _tag, keep, scores, salt);

        vm.assertEq(judged().committed, 8);
        vm.assertEq(judged().revealed, 8);
        vm.assertEq(federation.commitmentOf(3), bytes32(scores), "scores overwrite it");
    }

    function test_revealScores_takesTheEndsOfTheRange() public {
        bytes memory scores = encode(list(-10_000, 9_990, UNAVAILABLE, MALFORMED));
        _commit(validators[0], scores, 0);
        passDeadline();
        vm.prank(validators[0]);
        federation.revealScores(1, _tag, 0, scores, SALT);
        vm.assertEq(federation.commitmentOf(0), bytes32(scores));
    }

    function test_revealScores_takesTheLastSecondAndNoLater() public {
        commitAll();
        vm.warp(judged().deadline);
        revealAs(validators[0]);
        jump(1);
        refuses(
            validators[1],
            _call(scoresOf(validators[1], 4), 4),
            _wrongPhase(IFederation.Phase.Tally)
        );
    }

    function test_revealScores_endsWhenAllHave() public {
        commitAll();
        for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Reveal));
        jump(7);
        revealAs(validators[4]);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Tally));
        vm.assertEq(judged().deadline, time() + 30 minutes, "brought forward");
    }

    function test_revealScores_doesNotWaitForWhoDidNotCommit() public {
        for (uint256 i = 0; i < 4; ++i) commitAs(validators[i]);
        passDeadline();
        uint256 end = judged().deadline;
        for (uint256 i = 0; i < 3; ++i) revealAs(validators[i]);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Reveal));
        vm.assertEq(judged().deadline, end);
        revealAs(validators[3]);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Tally));
    }

    function test_revealScores_needsNoCommitmentWhereTheyAreRevealedDirectly() public {
        deploy(tiny());
        joinTrainers(2);
        joinValidators(4);
        fillWindow();
        uint64 tag = judged().tag;
        vm.expectEmit(address(federation));
        emit IFederation.ScoresRevealed(1, validators[2], bytes32(encode(list(-30))), 1);
        vm.prank(validators[2]);
        federation.revealScores(1, tag, 1, encode(list(-30)), 0);
        vm.assertEq(judged().revealed, 4);
        vm.assertEq(judged().committed, 4);
        vm.prank(validators[2]);
        vm.expectRevert(abi.encodeWithSelector(IFederation.AlreadyActed.selector, validators[2]));
        federation.revealScores(1, tag, 1, encode(list(-30)), 0);
        vm.warp(judged().deadline);
        revealAs(validators[1]);
        jump(1);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Tally));
    }

    // ----- When and who -----

    function test_revealScores_refusesBeforeAllCommitted() public {
        commitAs(validators[0]);
        refuses(
            validators[0],
            _call(scoresOf(validators[0], 4), 4),
            _wrongPhase(IFederation.Phase.Commit)
        );
    }

    function test_revealScores_refusesAnotherWindow() public {
        commitAll();
        bytes memory call = abi.encodeCall(IFederation.revealScores, (2, _tag, 0, "", SALT));
        bytes memory refusal = abi.encodeWithSelector(IFederation.NotJudgedNow.selector, 2, 1);
        refuses(validators[0], call, refusal);
    }

    function testFuzz_revealScores_refusesAnotherTag(uint64 tag) public {
        vm.assume(tag != _tag);
        commitAll();
        bytes memory call = abi.encodeCall(IFederation.revealScores, (1, tag, 0, "", SALT));
        bytes memory refusal = abi.encodeWithSelector(IFederation.WrongTag.selector, tag, _tag);
        refuses(validators[0], call, refusal);
    }

    function test_revealScores_refusesWhoDoesNotJudge() public {
        address newcomer = joinValidator(STAKE);
        for (uint256 i = 0; i < 5; ++i) commitAs(validators[i]);
        bytes4 refusal = IFederation.NotActiveValidator.selector;
        refuses(newcomer, _call("", 0), abi.encodeWithSelector(refusal, newcomer));
        refuses(address(this), _call("", 0), abi.encodeWithSelector(refusal, address(this)));
    }

    function test_revealScores_refusesASecond() public {
        commitAll();
        revealAs(validators[0]);
        bytes4 refusal = IFederation.AlreadyActed.selector;
        refuses(validators[0], _call("", 0), abi.encodeWithSelector(refusal, validators[0]));
    }

    function test_revealScores_refusesWhoDidNotCommit() public {
        for (uint256 i = 0; i < 4; ++i) commitAs(validators[i]);
        passDeadline();
        bytes memory call = _call(scoresOf(validators[4], 4), 4);
        bytes4 refusal = IFederation.NothingCommitted.selector;
        refuses(validators[4], call, abi.encodeWithSelector(refusal, validators[4]));
    }

    function testFuzz_revealScores_refusesAnotherSalt(bytes32 salt) public {
        vm.assume(salt != SALT);
        _commit(validators[1], encode(list(1, 2, 3, 4)), 3);
        _refusesMismatch(encode(list(1, 2, 3, 4)), 3, salt);
    }

    function testFuzz_revealScores_refusesAnotherScore(int16 score) public {
        score = int16(bound(score, -10_000, 9_990));
        vm.assume(score != 3);
        _commit(validators[1], encode(list(1, 2, 3, 4)), 3);
        _refusesMismatch(encode(list(1, 2, score, 4)), 3, SALT);
    }

    function test_revealScores_refusesAnotherKeepVote() public {
        _commit(validators[1], encode(list(1, 2, 3, 4)), 3);
        _refusesMismatch(encode(list(1, 2, 3, 4)), 2, SALT);
    }

    function test_revealScores_refusesACopiedCommitment() public {
        bytes memory scores = encode(list(1, 2, 3, 4));
        _commit(validators[0], scores, 3);
        bytes32 copied = federation.commitmentOf(0);
        vm.prank(validators[1]);
        federation.commitScores(1, copied, _tag);
        _refusesMismatch(scores, 3, SALT);
    }

    /// @dev Validator 1 committed to something else.
    function _refusesMismatch(bytes memory scores, uint8 keep, bytes32 salt) private {
        passDeadline();
        address who = validators[1];
        refuses(
            who,
            abi.encodeCall(IFederation.revealScores, (1, _tag, keep, scores, salt)),
            abi.encodeWithSelector(
                IFederation.CommitmentMismatch.selector,
                kept(commitmentTo(who, 1, _tag, scores, keep, salt)),
                federation.commitmentOf(1)
            )
        );
    }

    // ----- What scores are -----

    function testFuzz_revealScores_refusesAnotherLength(uint8 length) public {
        vm.assume(length != 8);
        commitAll();
        bytes memory call = _call(new bytes(length), 0);
        bytes4 refusal = IFederation.WrongScoresLength.selector;
        refuses(validators[0], call, abi.encodeWithSelector(refusal, length, 8));
    }

    function testFuzz_revealScores_refusesToKeepMoreThanThereAre(uint8 keep) public {
        keep = uint8(bound(uint256(keep), 5, 255));
        commitAll();
        bytes memory call = _call(scoresOf(validators[0], 4), keep);
        refuses(
            validators[0],
            call,
            abi.encodeWithSelector(IFederation.InvalidKeep.selector, keep, 4)
        );
    }

    function testFuzz_revealScores_refusesWhatIsNoScore(int16 score, uint8 index) public {
        vm.assume(score > MALFORMED && (score < -10_000 || score > 9_990));
        int16[] memory scores = list(-10_000, 9_990, UNAVAILABLE, MALFORMED);
        index = index % 4;
        scores[index] = score;
        commitAll();
        refuses(
            validators[0],
            _call(encode(scores), 4),
            abi.encodeWithSelector(IFederation.InvalidScore.selector, index, score)
        );
    }

    function test_revealScores_refusesJustBeyondTheRange() public {
        commitAll();
        int16[3] memory beyond = [int16(-10_001), 9_991, -32_766];
        for (uint256 i = 0; i < 3; ++i) {
            refuses(
                validators[0],
                _call(encode(list(0, beyond[i], beyond[i], 0)), 4),
                abi.encodeWithSelector(IFederation.InvalidScore.selector, 1, beyond[i])
            );
        }
    }
}
