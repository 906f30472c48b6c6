// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Purse} from "./Purse.sol";
import {Vm} from "./Vm.sol";

/// @title Ghost: a second book, kept from a federation's events alone
/// @notice `_read()` takes the events in and refuses any that the ones before do not justify: a slash without a
/// fault, a second settlement, an id used twice. `check()` compares the book with what the federation says, so it
/// also shows that the events are enough to rebuild every number.
abstract contract Ghost is Purse {
    struct Person {
        uint256 stake;
        uint256 credit;
        uint256 trainerReputation;
        uint256 validatorReputation;
        bool isKnown;
        bool isLeaving;
    }

    IFederation public federation;
    IFederation.Parameters internal parameters;
    address[] internal people;

    /// @dev Data of `TurnBegan`, `WindowTallied`, `WindowSettled`.
    struct Turn {
        uint256 base;
        uint64 tag;
        uint32 active;
        uint256[] weights;
    }

    struct Tallied {
        uint8 keep;
        bytes32 consensus;
        bytes32 verdicts;
        bytes shares;
        int256[] agreement;
        uint32 overruled;
    }

    struct Settled {
        bool isFinal;
        uint256[] trainers; // money
        bytes trainerReputations;
        uint256[] validators; // money
        bytes validatorReputations;
    }

    // ----- What was reached -----

    mapping(bytes32 topic => uint256) public reached;
    mapping(IFederation.VoidReason => uint256) public voids;
    mapping(IFederation.Fault => uint256) public faults;
    mapping(uint8 role => uint256) public jails;
    mapping(IFederation.Verdict => uint256) public verdicts;
    uint256 public evictions;

    // ----- The book -----

    mapping(address => Person) private _books;
    uint256 private _pool;
    uint256 private _slashed;
    uint256 private _forced;
    uint256 internal version;
    mapping(uint256 version => bytes32) private _models;
    mapping(uint256 updateId => address) internal authorOf;
    mapping(uint256 updateId => IFederation.Verdict) private _verdicts;
    mapping(uint256 window => mapping(address => bool)) private _hasCommitted;
    mapping(uint256 window => mapping(address => bool)) private _hasRevealed;
    mapping(uint256 window => mapping(address => bytes32)) private _attested;
    mapping(uint256 window => bytes32) private _finals;
    mapping(uint256 window => mapping(address => bool)) private _isSlashed;
    mapping(uint256 window => uint256) private _ends; // 1: ended
    uint256 private _turn; // the last window that had one
    uint256[32] private _weights; // of its active set
    mapping(uint256 seat => address) private _seated;
    address[32] private _judges;
    uint256 private _openWindow;
    uint256 private _judgingWindow;
    mapping(uint256 window => mapping(IFederation.Phase => uint256)) private _deadlines;

    function _open(IFederation federation_) internal {
        federation = federation_;
        parameters = federation_.parameters();
        _models[0] = federation_.genesis().model;
        (_openWindow, _judgingWindow) = (1, 1);
    }

    function _noteForced(uint256 amount) internal {
        _forced += amount;
    }

    function _authors(uint256 window) internal view returns (address[] memory authors) {
        uint256 count;
        while (count < 16 && authorOf[window * 16 + count] != address(0)) ++count;
        authors = new address[](count);
        for (uint256 i = 0; i < count; ++i) authors[i] = authorOf[window * 16 + i];
    }

    // ----- Each once in the code, which is long enough -----

    function _head() internal view returns (IFederation.Head memory) {
        return federation.head();
    }

    function _window(uint32 id) internal view returns (IFederation.Window memory) {
        return federation.window(id);
    }

    function _participant(address who) internal view returns (IFederation.Participant memory) {
        return federation.participant(who);
    }

    function assertEq(uint256 left, uint256 right, string memory why) internal pure {
        vm.assertEq(left, right, why);
    }

    function assertEq(bytes32 left, bytes32 right, string memory why) internal pure {
        vm.assertEq(left, right, why);
    }

    function assertLe(uint256 left, uint256 right, string memory why) internal pure {
        vm.assertLe(left, right, why);
    }

    function assertGe(uint256 left, uint256 right, string memory why) internal pure {
        vm.assertGe(left, right, why);
    }

    function assertTrue(bool condition, string memory why) internal pure {
        vm.assertTrue(condition, why);
    }

    // ----- Taking events in -----

    function _read() internal {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i = 0; i < logs.length; ++i) {
            if (logs[i].emitter != address(federation)) continue;
            ++reached[logs[i].topics[0]];
            if (!_readMoney(logs[i]) && !_readMember(logs[i])) _readWindow(logs[i]);
        }
    }

    function _who(Vm.Log memory log, uint256 topic) private pure returns (address) {
        return address(uint160(uint256(log.topics[topic])));
    }

    function _readMoney(Vm.Log memory log) private returns (bool) {
        bytes32 topic = log.topics[0];
        if (topic == IFederation.Joined.selector) {
            (, uint256 stake, ) = abi.decode(log.data, (uint8, uint256, bytes32));
            Person storage p = _books[_who(log, 1)];
            if (!p.isKnown) (p.trainerReputation, p.validatorReputation) = (300_000, 300_000);
            (p.isKnown, p.isLeaving) = (true, false);
            assertEq(p.stake, 0, "joined twice");
            p.stake = stake;
        } else if (topic == IFederation.StakeAdded.selector) {
            (uint256 amount, uint256 stake) = abi.decode(log.data, (uint256, uint256));
            Person storage p = _books[_who(log, 1)];
            p.stake += amount;
            assertEq(p.stake, stake, "StakeAdded tells the stake");
        } else if (topic == IFederation.Withdrawn.selector) {
            Person storage p = _books[_who(log, 1)];
            assertTrue(p.isLeaving, "withdrew without leaving");
            assertEq(abi.decode(log.data, (uint256)), p.stake, "the whole stake is paid back");
            p.stake = 0;
        } else if (topic == IFederation.Claimed.selector) {
            Person storage p = _books[_who(log, 1)];
            assertEq(abi.decode(log.data, (uint256)), p.credit, "all credit is paid");
            p.credit = 0;
        } else if (topic == IFederation.Funded.selector) {
            _pool += abi.decode(log.data, (uint256));
        } else if (topic == IFederation.PoolSwept.selector) {
            assertEq(abi.decode(log.data, (uint256)), _pool, "the whole pool is swept");
            _pool = 0;
        } else if (topic == IFederation.SlashedSwept.selector) {
            assertEq(abi.decode(log.data, (uint256)), _slashed, "all slashed money is swept");
            _slashed = 0;
        } else if (topic == IFederation.Slashed.selector) {
            _readSlash(log);
        } else {
            return false;
        }
        return true;
    }

    /// @dev Nobody's stake moves without a fault: each is proven from what was said before.
    function _readSlash(Vm.Log memory log) private {
        (address who, uint256 window) = (_who(log, 1), uint256(log.topics[2]));
        (IFederation.Fault fault, uint256 amount) = abi.decode(
            log.data,
            (IFederation.Fault, uint256)
        );
        assertTrue(!_isSlashed[window][who], "one slash a window");
        _isSlashed[window][who] = true;
        if (fault == IFederation.Fault.CommittedNotRevealed) {
            assertTrue(_hasCommitted[window][who], "slashed without a commitment");
            assertTrue(!_hasRevealed[window][who], "slashed after a reveal");
        } else if (fault == IFederation.Fault.WrongAttestation) {
            bytes32 attested = _attested[window][who];
            assertTrue(attested != 0 && _finals[window] != 0, "slashed without a final digest");
            assertTrue(attested != _finals[window], "slashed for the final digest");
        } else {
            bool isMalformed;
            for (
                uint256 id = window * 16;
                authorOf[id] != address(0) && id < window * 16 + 16;
                ++id
            ) {
                if (authorOf[id] != who) continue;
                isMalformed = _verdicts[id] == IFederation.Verdict.Malformed;
            }
            assertTrue(isMalformed, "slashed without a malformed update");
        }
        ++faults[fault];
        Person storage p = _books[who];
        uint256 most = (uint256(parameters.minStake) * parameters.slashPpm) / 1e6;
        assertEq(amount, most < p.stake ? most : p.stake, "what a slash takes");
        p.stake -= amount;
        _slashed += amount;
    }

    function _readMember(Vm.Log memory log) private returns (bool) {
        bytes32 topic = log.topics[0];
        if (topic == IFederation.ExitRequested.selector) {
            _books[_who(log, 1)].isLeaving = true;
        } else if (topic == IFederation.SeatTaken.selector) {
            uint256 seat = abi.decode(log.data, (uint8));
            assertTrue(_seated[seat] == address(0), "a seat is taken once");
            _seated[seat] = _who(log, 1);
        } else if (topic == IFederation.SeatLeft.selector) {
            delete _seated[abi.decode(log.data, (uint8))];
            if (!_books[_who(log, 1)].isLeaving) ++evictions;
        } else if (topic == IFederation.Jailed.selector) {
            (uint8 role, uint256 until) = abi.decode(log.data, (uint8, uint256));
            assertEq(until, vm.getBlockTimestamp() + parameters.jailPeriod, "jailed for a period");
            ++jails[role];
        } else {
            return false;
        }
        return true;
    }

    function _readWindow(Vm.Log memory log) private {
        bytes32 topic = log.topics[0];
        if (topic == IFederation.UpdateSubmitted.selector) {
            uint256 id = uint256(log.topics[1]);
            assertTrue(authorOf[id] == address(0), "an id is used once");
            authorOf[id] = _who(log, 2);
            (uint256 base, , , , ) = abi.decode(log.data, (uint256, bytes32, uint8, uint8, uint32));
            assertLe(base, version, "an update on a version that is not final");
        } else if (topic == IFederation.TurnBegan.selector) {
            _readTurn(log);
        } else if (topic == IFederation.ScoresCommitted.selector) {
            _hasCommitted[uint256(log.topics[1])][_who(log, 2)] = true;
        } else if (topic == IFederation.ScoresRevealed.selector) {
            assertTrue(!_hasRevealed[uint256(log.topics[1])][_who(log, 2)], "reveals once");
            _hasRevealed[uint256(log.topics[1])][_who(log, 2)] = true;
        } else if (topic == IFederation.ModelAttested.selector) {
            (bytes32 digest, ) = abi.decode(log.data, (bytes32, int64));
            assertTrue(_attested[uint256(log.topics[1])][_who(log, 2)] == 0, "attests once");
            _attested[uint256(log.topics[1])][_who(log, 2)] = digest;
        } else if (topic == IFederation.WindowTallied.selector) {
            _readTally(log);
        } else if (topic == IFederation.VersionFinalized.selector) {
            assertEq(uint256(log.topics[1]), ++version, "versions follow each other");
            _models[version] = abi.decode(log.data, (bytes32));
            assertTrue(_finals[uint256(log.topics[2])] == 0, "a window makes one version");
            _finals[uint256(log.topics[2])] = _models[version];
        } else if (topic == IFederation.WindowVoided.selector) {
            assertTrue(_finals[uint256(log.topics[1])] == 0, "a final window is not void");
            ++voids[abi.decode(log.data, (IFederation.VoidReason))];
        } else if (topic == IFederation.WindowSettled.selector) {
            _readSettlement(log);
        }
    }

    function _readTurn(Vm.Log memory log) private {
        assertGe(uint256(log.topics[1]), _turn + 1, "turns go forward");
        _turn = uint256(log.topics[1]);
        Turn memory turn = abi.decode(_asStruct(log.data), (Turn));
        assertEq(turn.base, version, "W is the latest version");
        assertGe(turn.weights.length, parameters.minValidators, "enough validators judge");
        uint256 k;
        for (uint256 seat = 0; seat < 32; ++seat) {
            (_judges[seat], _weights[seat]) = (address(0), 0);
            if ((turn.active >> seat) & 1 == 0) continue;
            (_judges[seat], _weights[seat]) = (_seated[seat], turn.weights[k++]);
            Person storage p = _books[_seated[seat]];
            assertTrue(_seated[seat] != address(0), "who judges has a seat");
            assertTrue(!p.isLeaving, "who leaves does not judge");
            assertGe(p.stake, parameters.minStake, "short stakes do not judge");
        }
    }

    /// @dev An event's data as that of a struct with the same fields.
    function _asStruct(bytes memory data) private pure returns (bytes memory) {
        return bytes.concat(bytes32(uint256(32)), data);
    }

    function _readTally(Vm.Log memory log) private {
        uint256 window = uint256(log.topics[1]);
        Tallied memory given = abi.decode(_asStruct(log.data), (Tallied));
        uint256[] memory shares = numbersOf(given.shares);
        uint256 sum;
        for (uint256 i = 0; i < shares.length; ++i) {
            IFederation.Verdict verdict = IFederation.Verdict(uint256(scoreAt(given.verdicts, i)));
            _verdicts[window * 16 + i] = verdict;
            ++verdicts[verdict];
            sum += shares[i];
            if (verdict >= IFederation.Verdict.Accepted) continue;
            assertEq(shares[i], 0, "a share of what is not accepted");
        }
        assertLe(sum, 1e6, "shares sum to at most one");
    }

    function _readSettlement(Vm.Log memory log) private {
        uint256 window = uint256(log.topics[1]);
        assertEq(_ends[window]++, 0, "settled once");
        assertEq(window, _turn, "only the judged window is settled");
        Settled memory end = abi.decode(_asStruct(log.data), (Settled));
        uint256 sum = _readTrainers(window, end) + _readJudges(window, end);
        assertTrue(end.isFinal == (_finals[window] != 0), "final if it made a version");
        if (sum != 0) assertTrue(end.isFinal, "only a version pays");
        assertLe(sum, _pool / 100, "at most a hundredth of the pool");
        _pool -= sum;
    }

    function _readTrainers(uint256 window, Settled memory end) private returns (uint256 sum) {
        for (uint256 i = 0; i < end.trainers.length; ++i) {
            uint256 id = window * 16 + i;
            Person storage p = _books[authorOf[id]];
            sum += _credit(p, end.trainers[i]);
            p.trainerReputation = numberAt(end.trainerReputations, i);
            if (end.trainers[i] == 0) continue;
            assertTrue(_verdicts[id] == IFederation.Verdict.Paid, "only paid updates are paid");
        }
    }

    function _readJudges(uint256 window, Settled memory end) private returns (uint256 sum) {
        uint256 k;
        for (uint256 seat = 0; seat < 32; ++seat) {
            if (_judges[seat] == address(0)) continue;
            Person storage p = _books[_judges[seat]];
            sum += _credit(p, end.validators[k]);
            p.validatorReputation = numberAt(end.validatorReputations, k);
            if (end.validators[k++] == 0) continue;
            bool isEarned = _attested[window][_judges[seat]] == _finals[window];
            assertTrue(isEarned, "only right attestations are paid");
        }
        assertEq(k, end.validators.length, "as many judges as the turn began with");
    }

    function _credit(Person storage person, uint256 money) private returns (uint256) {
        person.credit += money;
        return money;
    }

    // ----- Comparing -----

    /// @notice Everything that always holds.
    function check() public {
        IFederation.Head memory h = _head();
        _checkMoney(h);
        _checkWindows(h);
    }

    function _checkMoney(IFederation.Head memory h) private view {
        uint256 stakes;
        uint256 credits;
        for (uint256 i = 0; i < people.length; ++i) {
            IFederation.Participant memory p = _participant(people[i]);
            Person storage book = _books[people[i]];
            assertEq(p.stake, book.stake, "a stake moved by itself");
            assertEq(p.credit, book.credit, "a credit moved by itself");
            if (book.isKnown) {
                assertEq(p.trainerReputation, book.trainerReputation, "a trainer's reputation");
                assertEq(p.validatorReputation, book.validatorReputation, "a validator's");
                assertLe(p.trainerReputation, 1e6, "within one");
                assertLe(p.validatorReputation, 1e6, "within one");
            }
            stakes += book.stake;
            credits += book.credit;
        }
        assertEq(h.stakes, stakes, "stakes");
        assertEq(h.credits, credits, "credits");
        assertEq(h.pool, _pool, "pool");
        assertEq(h.slashed, _slashed, "slashed");
        uint256 owed = stakes + credits + _pool + _slashed;
        uint256 balance = purseOf(parameters.currency, address(federation));
        assertEq(balance, owed + _forced, "the balance covers all, exactly");
    }

    function _checkWindows(IFederation.Head memory h) private {
        assertGe(h.openWindow, _openWindow, "the open window goes forward");
        assertGe(h.judgingWindow, _judgingWindow, "the judging window goes forward");
        (_openWindow, _judgingWindow) = (h.openWindow, h.judgingWindow);
        assertLe(h.judgingWindow, h.openWindow, "none is judged before it is sealed");
        assertLe(h.openWindow - h.judgingWindow, 8, "the ring holds eight");
        assertEq(h.version, version, "versions only grow, one at a time");
        assertEq(federation.modelDigest(h.version), _models[version], "the latest model");
        uint32 older = uint32(uint256(keccak256(abi.encode(reached[0]++))) % (version + 1));
        if (older == 0 || older + 64 > version)
            assertEq(federation.modelDigest(older), _models[older], "a version never changes");
        _checkDeadline(_window(h.openWindow));
        IFederation.Window memory w = _window(h.judgingWindow);
        _checkDeadline(w);
        if (w.active == 0) return;
        for (uint8 seat = 0; seat < 32; ++seat) {
            assertEq(federation.weightOf(seat), _weights[seat], "weights are fixed for a window");
            if (_weights[seat] == 0) continue;
            assertTrue(federation.seatOf(seat) == _judges[seat], "judges keep their seats");
        }
    }

    function _checkDeadline(IFederation.Window memory w) private {
        uint256 before = _deadlines[w.id][w.phase];
        if (before != 0) assertLe(w.deadline, before, "a deadline is only brought forward");
        _deadlines[w.id][w.phase] = w.deadline;
    }
}
