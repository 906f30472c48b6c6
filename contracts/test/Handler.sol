// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Ghost} from "./Ghost.sol";
import {Coin} from "./Purse.sol";
import {Reenterer, Refuser} from "./Receivers.sol";
import {HookedToken} from "./Tokens.sol";

/// @title Handler: all who might have to do with a federation, and what comes to their minds
/// @notice `step(seed)` does one thing: what a living federation does next, with its liars, sleepers, copyists and
/// bad trainers; or any function by anybody; or it lets time pass. Then it reads the events, compares the books, and
/// sometimes shows that from here all windows come to an end. What must not fail is asserted where it is done.
contract Handler is Ghost {
    uint256 private constant INVITATION = uint256(
        keccak256(
            "Invitation(address participant,uint8 roles,uint256 nonce,uint256 deadline,uint64 epoch)"
        )
    );
    uint256 private constant HABITS = 32; // most of them good ones
    uint256 private constant REFUSER = 2; // places in `people`
    uint256 private constant REENTERER = 3;

    address private immutable OWNER;
    uint256 private immutable OWNER_KEY;
    uint256 private _state; // of the generator
    uint256 private _nonce;
    uint256 private _digest;
    bool public mayClose;
    uint256 public done; // calls
    uint256 public refused;

    constructor(IFederation federation_, uint256 ownerKey, uint256 count) {
        _open(federation_);
        (OWNER, OWNER_KEY) = (vm.addr(ownerKey), ownerKey);
        for (uint256 i = 0; i < count; ++i) {
            if (i == REFUSER) people.push(address(new Refuser()));
            else if (i == REENTERER) people.push(address(new Reenterer()));
            else people.push(address(uint160(0xA11CE000 + i)));
        }
        if (parameters.currency != address(0)) {
            HookedToken(parameters.currency).register(people[REFUSER]);
            HookedToken(parameters.currency).register(people[REENTERER]);
        }
        vm.recordLogs();
        _call(OWNER, 1000 ether, abi.encodeCall(IFederation.fund, (1000 ether)));
        for (uint256 i = 0; i < count; ++i) {
            while (_participant(people[i]).roles == 0) _join(people[i], _rolesOf(i));
        }
        check();
    }

    // ----- Steps -----

    function step(uint256 seed) external {
        _state = seed;
        uint256 dice = _random(100);
        if (dice < 60) _advance();
        else if (dice < 70) _keepHouse(_random(people.length));
        else if (dice < 97) _anything(people[_random(people.length)]);
        else _letTimePass();
        check();
        if (_random(25) == 0) _showAllEnds();
    }

    function allowClosing() external {
        mayClose = true;
    }

    function _random(uint256 below) private returns (uint256) {
        _state = uint256(keccak256(abi.encode(_state)));
        return _state % below;
    }

    /// @dev The same for the same thing: how somebody behaves in a window.
    function _habit(uint256 a, uint256 b, uint256 below) private pure returns (uint256) {
        return uint256(keccak256(abi.encode("habit", a, b))) % below;
    }

    function _call(address who, uint256 value, bytes memory data) private returns (bool success) {
        bytes memory answer;
        (success, answer) = _send(who, value, data);
    }

    function _must(address who, bytes memory data, string memory why) private {
        (bool success, bytes memory answer) = _send(who, 0, data);
        if (!success) vm.assertEq(answer, "", why);
        assertTrue(success, why);
    }

    function _send(
        address who,
        uint256 value,
        bytes memory data
    ) private returns (bool success, bytes memory answer) {
        value = endow(parameters.currency, address(federation), who, value);
        vm.prank(who);
        (success, answer) = address(federation).call{value: value}(data);
        if (success) {
            ++done;
        } else {
            ++refused;
            assertGe(answer.length, 4, "every refusal has an error");
            assertTrue(bytes4(answer) != bytes4(0x4e487b71), "no refusal is a panic");
        }
        if (success) _read();
        vm.recordLogs(); // forgets what a refused call had emitted
    }

    function _jumpTo(uint256 time) private {
        if (time > vm.getBlockTimestamp()) vm.warp(time);
    }

    function _jump(uint256 elapsed) private {
        vm.warp(vm.getBlockTimestamp() + elapsed);
    }

    function _letTimePass() private {
        uint256 dice = _random(10);
        if (dice < 6) _jump(1 + _random(parameters.revealPeriod));
        else if (dice < 7) _jump(parameters.maxWait + 1);
        else if (dice < 8) _jump(2 * uint256(parameters.maxWait) + 1);
        else if (dice < 9) _jump(parameters.jailPeriod + 1);
        else _jump(parameters.unbondingPeriod + 1);
    }

    // ----- What a living federation does next -----

    function _advance() private {
        IFederation.Head memory h = _head();
        if (h.judgingWindow == h.openWindow || _random(4) == 0) return _submitSome(h);
        IFederation.Window memory w = _window(h.judgingWindow);
        bool isWhole = _random(4) != 0; // all act, or one
        uint256 first = _random(32);
        for (uint256 k = 0; k < 32; ++k) {
            uint8 seat = uint8((first + k) % 32);
            if ((w.active >> seat) & 1 == 0) continue;
            if (_act(w, seat, federation.seatOf(seat)) && !isWhole) return;
        }
        if (w.phase == IFederation.Phase.Tally) return _tally(w);
        if (_random(2) == 0) _passDeadline(w);
    }

    function _passDeadline(IFederation.Window memory w) private {
        if (_window(w.id).phase != w.phase) return;
        _jumpTo(uint256(w.deadline) + 1);
        if (w.phase != IFederation.Phase.Attest) return;
        bytes memory end = abi.encodeCall(IFederation.settle, (w.id));
        uint256 last = uint256(w.deadline) + parameters.attestPeriod;
        if (_habit(w.id, 5, 8) == 0) _jumpTo(last + 1);
        if (vm.getBlockTimestamp() > last) end = abi.encodeCall(IFederation.discard, (w.id));
        _must(people[_random(people.length)], end, "anybody ends a window after its deadline");
    }

    function _act(
        IFederation.Window memory w,
        uint8 seat,
        address who
    ) private returns (bool hasActed) {
        uint256 habit = _habit(w.id, uint160(who), HABITS);
        uint256 mood = _habit(w.id, 0, 10);
        if (w.phase == IFederation.Phase.Commit) {
            if (habit == 0 || (w.committed >> seat) & 1 != 0) return false;
            bytes32 commitment = _commitment(w, who);
            if (habit == 1) commitment = _commitmentOfAnother(w, commitment);
            _call(who, 0, abi.encodeCall(IFederation.commitScores, (w.id, commitment, w.tag)));
        } else if (w.phase == IFederation.Phase.Reveal) {
            if (habit == 2 || (mood == 1 && habit % 4 != 0)) return false;
            if ((w.revealed >> seat) & 1 != 0) return false;
            (bytes memory scores, uint8 keep) = _scores(w, who);
            bytes32 salt = bytes32(uint256(w.id));
            _call(
                who,
                0,
                abi.encodeCall(IFederation.revealScores, (w.id, w.tag, keep, scores, salt))
            );
        } else if (w.phase == IFederation.Phase.Attest) {
            if (habit == 3 || (w.attested >> seat) & 1 != 0) return false;
            bool isWrong = habit == 4 || (mood == 2 && seat % 2 == 0);
            bytes32 digest = keccak256(abi.encode(w.id, isWrong));
            _call(who, 0, abi.encodeCall(IFederation.attestModel, (w.id, w.tag, digest, 7)));
        } else {
            return false;
        }
        return true;
    }

    function _commitmentOfAnother(
        IFederation.Window memory w,
        bytes32 own
    ) private view returns (bytes32) {
        for (uint8 seat = 0; seat < 32; ++seat) {
            if ((w.committed >> seat) & 1 != 0) return federation.commitmentOf(seat);
        }
        return own;
    }

    function _commitment(IFederation.Window memory w, address who) private view returns (bytes32) {
        (bytes memory scores, uint8 keep) = _scores(w, who);
        bytes32 salt = bytes32(uint256(w.id));
        return
            keccak256(
                abi.encode(block.chainid, address(federation), w.id, w.tag, who, scores, keep, salt)
            );
    }

    function _scores(
        IFederation.Window memory w,
        address who
    ) private view returns (bytes memory scores, uint8 keep) {
        uint256 habit = _habit(w.id, uint160(who), HABITS);
        keep = uint8(habit == 5 ? 0 : w.updates - _habit(w.id, 1, 4) / 3);
        for (uint256 i = 0; i < w.updates; ++i) {
            uint256 id = uint256(w.id) * 16 + i;
            uint256 author = uint160(authorOf[id]);
            int256 score = 200 - 40 * int256(_habit(id, 1, 9));
            score += int256(_habit(id, uint160(who), 50));
            if (author % 5 == 4) score = -5_000; // a bad trainer
            if (_habit(w.id, 6, 9) == 0) score -= 3_000; // a bad window
            if (habit == 5) score = -score; // a liar
            if (habit == 6) score = 10; // no opinion
            if (_habit(id, 2, 12) == 0) score = -32_767; // a malformed update
            if (habit == 7) score = -32_768; // a veto
            scores = bytes.concat(scores, bytes2(uint16(int16(score))));
        }
    }

    function _tally(IFederation.Window memory w) private {
        address anybody = people[_random(people.length)];
        uint256 active;
        uint256 revealed;
        for (uint8 seat = 0; seat < 32; ++seat) {
            uint256 weight = federation.weightOf(seat);
            active += weight;
            if ((w.revealed >> seat) & 1 != 0) revealed += weight;
        }
        bytes memory discard = abi.encodeCall(IFederation.discard, (w.id));
        if (3 * revealed < 2 * active) {
            return _must(anybody, discard, "too few reveals end a window at once");
        }
        if (_habit(w.id, 7, 10) == 0) _jumpTo(uint256(w.deadline) + 1);
        if (vm.getBlockTimestamp() > w.deadline) {
            return _must(anybody, discard, "a window that nobody tallied ends");
        }
        assertTrue(!_call(anybody, 0, discard), "a window that can be tallied is not discarded");
        bytes memory tally = abi.encodeCall(
            IFederation.tally,
            (w.id, _authors(w.id), seated(federation, w.revealed))
        );
        _must(anybody, tally, "the tally never reverts for revealed input");
    }

    function _submitSome(IFederation.Head memory h) private {
        uint256 count = 1 + _random(8);
        for (uint256 k = 0; k < count; ++k) _submit(people[_random(people.length)]);
        h = _head();
        IFederation.Window memory w = _window(h.openWindow);
        if (w.updates == 0 || _random(3) != 0) return;
        _jumpTo(uint256(w.deadline) + 1);
        _must(people[0], abi.encodeCall(IFederation.seal, ()), "anybody seals after the deadline");
    }

    function _submit(address who) private {
        uint32 base = _head().version;
        if (_random(10) == 0 && base > 0) base -= uint32(1 + _random(base > 6 ? 6 : base));
        bytes32 root = keccak256(abi.encode(++_digest));
        uint8 codec = _random(2) == 0 ? 0x55 : 0x70;
        uint32 samples = uint32(1 + _random(1_000));
        _call(who, 0, abi.encodeCall(IFederation.submitUpdate, (base, root, codec, 1, samples)));
    }

    /// @dev Who is out comes back, who sleeps wakes, whose stake is short adds to it.
    function _keepHouse(uint256 first) private {
        for (uint256 k = 0; k < people.length; ++k) {
            uint256 i = (first + k) % people.length;
            address who = people[i];
            IFederation.Participant memory p = _participant(who);
            if (p.roles == 0) {
                _join(who, _rolesOf(i));
            } else if (p.asleep) {
                _must(who, abi.encodeCall(IFederation.wake, ()), "who sleeps can wake");
            } else if (p.exitAt != 0) {
                _call(who, 0, abi.encodeCall(IFederation.withdraw, ()));
            } else if (p.stake < parameters.minStake) {
                uint256 missing = parameters.minStake - p.stake;
                _call(who, missing, abi.encodeCall(IFederation.topUp, (missing)));
            } else if (p.roles >= 2 && p.seat == 255) {
                _call(who, 0, abi.encodeCall(IFederation.takeSeat, ()));
            } else {
                continue;
            }
            if (_random(3) == 0) return;
        }
    }

    // ----- Any function by anybody -----

    function _anything(address who) private {
        uint256 dice = _random(28);
        uint32 window = _head().judgingWindow;
        if (_random(9) == 0) window += uint32(_random(3));
        if (dice < 4) _join(who, uint8(_random(5)));
        else if (dice < 6) _topUp(who);
        else if (dice == 6)
            _call(who, 0, abi.encodeCall(IFederation.setProfile, (bytes32(_state))));
        else if (dice < 9) _takeSeat(who);
        else if (dice < 11) _call(who, 0, abi.encodeCall(IFederation.wake, ()));
        else if (dice == 11) _call(who, 0, abi.encodeCall(IFederation.requestExit, ()));
        else if (dice < 15) _call(who, 0, abi.encodeCall(IFederation.withdraw, ()));
        else if (dice < 17) _call(who, 0, abi.encodeCall(IFederation.claim, ()));
        else if (dice == 17) _call(who, 0, abi.encodeCall(IFederation.seal, ()));
        else if (dice == 18) _anyJudging(who, window);
        else if (dice == 19) _call(who, 0, abi.encodeCall(IFederation.settle, (window)));
        else if (dice == 20) _call(who, 0, abi.encodeCall(IFederation.discard, (window)));
        else if (dice == 21) _fund(who);
        else if (dice == 22) _call(who, 0, abi.encodeCall(IFederation.sweepSlashed, ()));
        else if (dice == 23) _multicall(who);
        else if (dice < 27) _ownerDoes(who);
        else _force();
    }

    function _rolesOf(uint256 i) private pure returns (uint8) {
        if (i % 4 == 1) return 1;
        return i % 4 == 2 ? 2 : 3;
    }

    function _join(address who, uint8 roles) private {
        uint256 stake = uint256(parameters.minStake) * (1 + _random(2)) - (_random(9) == 0 ? 1 : 0);
        uint256 value = _random(20) == 0 ? stake / 2 : stake;
        bytes memory data = abi.encodeCall(IFederation.join, (roles, bytes32(0), stake));
        if (!parameters.open) data = _invitation(who, roles, stake);
        _call(who, value, data);
    }

    function _invitation(
        address who,
        uint8 roles,
        uint256 stake
    ) private returns (bytes memory data) {
        uint256 nonce = _random(15) == 0 ? _nonce : ++_nonce;
        uint256 deadline = vm.getBlockTimestamp();
        bytes32 domain = keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("BAFL Federation"),
                keccak256("1"),
                block.chainid,
                federation
            )
        );
        bytes32 digest = keccak256(
            abi.encode(INVITATION, who, roles, nonce, deadline, federation.invitationEpoch())
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(
            OWNER_KEY,
            keccak256(abi.encodePacked("\x19\x01", domain, digest))
        );
        bytes memory signature = abi.encodePacked(r, s, v);
        data = abi.encodeCall(
            IFederation.joinByInvitation,
            (roles, bytes32(0), stake, nonce, deadline, signature)
        );
    }

    function _topUp(address who) private {
        uint256 amount = (uint256(parameters.minStake) * _random(40)) / 100;
        _call(who, amount, abi.encodeCall(IFederation.topUp, (amount)));
    }

    /// @dev By somebody who might.
    function _takeSeat(address who) private {
        uint256 first = _random(people.length);
        for (uint256 k = 0; k < people.length; ++k) {
            address other = people[(first + k) % people.length];
            IFederation.Participant memory p = _participant(other);
            if (p.roles < 2 || p.seat != 255 || p.exitAt != 0) continue;
            who = other;
            break;
        }
        if (_random(2) == 0) _topUp(who);
        _call(who, 0, abi.encodeCall(IFederation.takeSeat, ()));
    }

    function _fund(address who) private {
        uint256 amount = _random(10 ether);
        _call(who, amount, abi.encodeCall(IFederation.fund, (amount)));
    }

    function _anyJudging(address who, uint32 window) private {
        uint64 tag = uint64(_state);
        bytes memory scores = abi.encodePacked(_state);
        bytes32 word = bytes32(_state);
        _call(who, 0, abi.encodeCall(IFederation.commitScores, (window, word, tag)));
        _call(who, 0, abi.encodeCall(IFederation.revealScores, (window, tag, 1, scores, word)));
        _call(who, 0, abi.encodeCall(IFederation.attestModel, (window, tag, word, 0)));
        address[] memory authors = _authors(window);
        address[] memory validators = seated(federation, federation.head().seats);
        if (authors.length > 1) authors[0] = authors[1];
        _call(who, 0, abi.encodeCall(IFederation.tally, (window, authors, validators)));
    }

    function _multicall(address who) private {
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IFederation.setProfile, (bytes32(_state)));
        calls[1] =
            _random(2) == 0
                ? abi.encodeCall(IFederation.claim, ())
                : abi.encodeCall(IFederation.topUp, (_random(2)));
        _call(who, 0, abi.encodeWithSignature("multicall(bytes[])", calls));
    }

    function _ownerDoes(address who) private {
        if (_random(4) != 0) who = OWNER;
        bool isOwner = who == OWNER;
        bool isClosed = _head().closed;
        uint256 dice = _random(9);
        if (dice == 0) {
            assertTrue(
                _call(who, 0, abi.encodeCall(IFederation.pause, ())) == (isOwner && !isClosed),
                "the owner alone pauses"
            );
        } else if (dice < 5) {
            _call(who, 0, abi.encodeCall(IFederation.unpause, ()));
        } else if (dice < 8) {
            assertTrue(
                _call(who, 0, abi.encodeCall(IFederation.bumpInvitationEpoch, ())) == isOwner,
                "the owner alone bumps the epoch"
            );
        } else {
            if (mayClose || !isOwner) _call(who, 0, abi.encodeCall(IFederation.close, ()));
            _call(who, 0, abi.encodeCall(IFederation.sweepPool, ()));
        }
    }

    function _force() private {
        uint256 amount = 1 + _random(1e6);
        address target = address(federation);
        if (parameters.currency == address(0)) vm.deal(target, target.balance + amount);
        else Coin(parameters.currency).mint(target, amount);
        _noteForced(amount);
    }

    // ----- Ends -----

    function _showAllEnds() private {
        uint256 snapshot = vm.snapshotState();
        _endAll();
        check();
        vm.revertToState(snapshot);
        vm.recordLogs();
    }

    /// @notice One call a window, by nobody in particular, ends all that there are.
    function _endAll() private {
        IFederation.Head memory h = _head();
        address nobody = address(0xB0B);
        if (_window(h.openWindow).updates != 0) {
            _jump(2 * uint256(parameters.maxWait) + 1);
            _must(nobody, abi.encodeCall(IFederation.seal, ()), "any window can be sealed");
        }
        uint256 life = uint256(parameters.commitPeriod) + parameters.revealPeriod;
        life += 2 * uint256(parameters.attestPeriod) + 1;
        for (uint256 calls = 0; calls < 9; ++calls) {
            h = _head();
            if (h.judgingWindow == h.openWindow) break;
            _jump(life);
            _must(
                nobody,
                abi.encodeCall(IFederation.discard, (h.judgingWindow)),
                "any window ends by one call"
            );
        }
        h = _head();
        assertEq(h.judgingWindow, h.openWindow, "all windows ended");
    }

    /// @notice The last day: closed, all windows ended, everybody takes what is theirs, and nothing else is left.
    function finish() external {
        check();
        _call(OWNER, 0, abi.encodeCall(IFederation.close, ()));
        _endAll();
        for (uint256 i = 0; i < people.length; ++i) {
            _call(people[i], 0, abi.encodeCall(IFederation.requestExit, ()));
        }
        _jump(uint256(parameters.unbondingPeriod) + 1);
        for (uint256 i = 0; i < people.length; ++i) {
            if (i == REFUSER) continue;
            IFederation.Participant memory p = _participant(people[i]);
            if (p.roles != 0) {
                _must(people[i], abi.encodeCall(IFederation.withdraw, ()), "all can leave");
            }
            if (p.credit != 0) {
                _must(people[i], abi.encodeCall(IFederation.claim, ()), "all can claim");
            }
            p = _participant(people[i]);
            assertEq(uint256(p.stake) + p.credit, 0, "nothing of theirs is left");
        }
        assertTrue(!_call(people[REFUSER], 0, abi.encodeCall(IFederation.claim, ())), "it refuses");
        _call(OWNER, 0, abi.encodeCall(IFederation.sweepPool, ()));
        _call(OWNER, 0, abi.encodeCall(IFederation.sweepSlashed, ()));
        IFederation.Participant memory last = _participant(people[REFUSER]);
        IFederation.Head memory h = _head();
        assertEq(h.stakes, last.stake, "only a refuser's stake is left");
        assertEq(h.credits, last.credit, "only a refuser's credit is left");
        assertEq(uint256(h.pool) + h.slashed, 0, "the rest is swept");
        check();
        assertEq(reentries(), 0, "nobody was paid twice");
    }

    /// @notice Payments that the re-entrant receiver got while it was being paid.
    function reentries() public view returns (uint256) {
        return Reenterer(payable(people[REENTERER])).successes();
    }
}
