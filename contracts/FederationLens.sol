// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFederation, IFederationLens} from "./IFederation.sol";

/// @title Reads that loop, and the answer to "what can I do now?"
/// @notice Stateless: one lens serves all federations of a chain. Its answers hold for the block they are read at; on
/// a chain that mines only when there is something to mine, a client goes by the deadlines and its own clock.
contract FederationLens is IFederationLens {
    uint256 private constant TRAINER = 1;
    uint256 private constant VALIDATOR = 2;
    uint256 private constant RING = 8;
    uint8 private constant MAX_SEATS = 32;
    uint8 private constant NO_SEAT = 255;

    /// @dev What the answers are made of.
    struct View {
        IFederation.Parameters parameters;
        IFederation.Head head;
        IFederation.Window judging;
        IFederation.Window open;
        IFederation.Participant participant;
    }

    function overview(
        IFederation federation,
        address account
    ) external view returns (Overview memory o) {
        View memory v = _look(federation, account);
        o.blockNumber = uint64(block.number);
        o.blockTime = uint40(block.timestamp);
        o.head = v.head;
        o.modelDigest = federation.modelDigest(v.head.version);
        o.judging = v.judging;
        o.open = v.open;
        o.participant = v.participant;
        o.duties = _duties(federation, v);
        if (_isIn(v.judging.active, v.participant.seat)) {
            o.commitment = federation.commitmentOf(v.participant.seat);
        }
    }

    function duties(IFederation federation, address account) external view returns (Duties memory) {
        return _duties(federation, _look(federation, account));
    }

    function validators(
        IFederation federation
    )
        external
        view
        returns (
            address[] memory accounts,
            IFederation.Participant[] memory participants,
            uint32 active
        )
    {
        IFederation.Head memory head = federation.head();
        active = federation.window(head.judgingWindow).active;
        uint256 count;
        for (uint8 seat = 0; seat < MAX_SEATS; ++seat) if (_isIn(head.seats, seat)) ++count;
        accounts = new address[](count);
        participants = new IFederation.Participant[](count);
        count = 0;
        for (uint8 seat = 0; seat < MAX_SEATS; ++seat) {
            if (!_isIn(head.seats, seat)) continue;
            accounts[count] = federation.seatOf(seat);
            participants[count] = federation.participant(accounts[count]);
            ++count;
        }
    }

    function _look(IFederation federation, address account) private view returns (View memory v) {
        v.parameters = federation.parameters();
        v.head = federation.head();
        v.judging = federation.window(v.head.judgingWindow);
        v.open = federation.window(v.head.openWindow);
        v.participant = federation.participant(account);
    }

    function _duties(IFederation federation, View memory v) private view returns (Duties memory d) {
        d.submitRefusal = _refusal(v);
        d.canSubmit = d.submitRefusal == 0;
        d.canSeal =
            v.open.updates != 0 &&
            (v.open.updates >= v.head.effectiveSize || block.timestamp > v.open.deadline);
        _judgingDuties(federation, v, d);
        IFederation.Participant memory p = v.participant;
        bool isStaying = p.roles != 0 && p.exitAt == 0;
        d.canWake = p.asleep && p.roles != 0;
        d.canTakeSeat =
            isStaying &&
            p.roles & VALIDATOR != 0 &&
            p.seat == NO_SEAT &&
            _hasSeatFor(federation, v);
        d.canWithdraw =
            p.exitAt != 0 &&
            block.timestamp >= p.withdrawableAt &&
            p.pendingWindows[1] < v.head.judgingWindow &&
            !_isIn(v.judging.active, p.seat);
        d.claimable = p.credit;
    }

    /// @dev In the order in which `submitUpdate` checks.
    function _refusal(View memory v) private pure returns (bytes4) {
        IFederation.Participant memory p = v.participant;
        IFederation.Head memory h = v.head;
        if (h.closed) return IFederation.IsClosed.selector;
        if (h.paused) return IFederation.IsPaused.selector;
        if (p.roles & TRAINER == 0 || p.exitAt != 0) return IFederation.NotTrainer.selector;
        if (p.trainerJailedUntil != 0) return IFederation.JailedUntil.selector;
        if (p.stake < v.parameters.minStake) return IFederation.StakeBelowMinimum.selector;
        bool isPending = p.pendingWindows[1] >= h.judgingWindow;
        if (p.pendingWindows[1] != 0 && p.pendingBases[1] == h.version && isPending) {
            return IFederation.BaseNotNewer.selector;
        }
        if (p.pendingWindows[1] == h.openWindow) return IFederation.AlreadyInWindow.selector;
        if (p.pendingWindows[0] >= h.judgingWindow) return IFederation.TooManyPending.selector;
        if (h.openWindow - h.judgingWindow >= RING) return IFederation.QueueFull.selector;
        return 0;
    }

    function _judgingDuties(IFederation federation, View memory v, Duties memory d) private view {
        IFederation.Window memory w = v.judging;
        if (w.active == 0) return; // nothing is being judged
        d.actBy = w.deadline;
        uint8 seat = v.participant.seat;
        bool isActive = _isIn(w.active, seat);
        bool isOver = block.timestamp > w.deadline;
        if (w.phase == IFederation.Phase.Commit) {
            uint256 left = w.active & ~w.committed;
            d.canCommit = isActive && _isIn(left, seat);
            d.commitsLast = d.canCommit && left == 1 << seat;
        } else if (w.phase == IFederation.Phase.Reveal) {
            bool isDirect = v.parameters.commitPeriod == 0;
            uint256 left = (isDirect ? w.active : w.committed) & ~w.revealed;
            d.canReveal = isActive && _isIn(left, seat);
            d.revealsLast =
                d.canReveal &&
                left == 1 << seat &&
                _isQuorum(federation, w, w.revealed | left);
        } else if (w.phase == IFederation.Phase.Tally) {
            bool isEnough = _isQuorum(federation, w, w.revealed);
            d.canTally = isEnough && !isOver;
            d.canDiscard = !isEnough || isOver;
        } else if (w.phase == IFederation.Phase.Attest) {
            d.canAttest = isActive && !isOver && !_isIn(w.attested, seat);
            uint256 last = uint256(w.deadline) + v.parameters.attestPeriod;
            d.canSettle = isOver && block.timestamp <= last;
            d.canDiscard = block.timestamp > last;
        }
    }

    /// @dev A free seat, or one that this stake is enough for.
    function _hasSeatFor(IFederation federation, View memory v) private view returns (bool) {
        if (v.head.seats != type(uint32).max) return true;
        uint256 lowest = type(uint256).max;
        for (uint8 seat = 0; seat < MAX_SEATS; ++seat) {
            uint256 stake = federation.participant(federation.seatOf(seat)).stake;
            if (stake < lowest) lowest = stake;
        }
        return v.participant.stake >= lowest + lowest / 10;
    }

    function _isQuorum(
        IFederation federation,
        IFederation.Window memory w,
        uint256 seats
    ) private view returns (bool) {
        return 3 * _weigh(federation, seats) >= 2 * _weigh(federation, w.active);
    }

    function _weigh(IFederation federation, uint256 seats) private view returns (uint256 sum) {
        for (uint8 seat = 0; seat < MAX_SEATS; ++seat)
            if (_isIn(seats, seat)) sum += federation.weightOf(seat);
    }

    function _isIn(uint256 set, uint256 seat) private pure returns (bool) {
        return (set >> seat) & 1 != 0;
    }
}
