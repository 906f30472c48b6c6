// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Round, Seat, Words} from "./Words.sol";

/// @title All that a federation stores, and how it is read and written
/// @notice `Federation.sol` owns the one `State`; the linked libraries `Members` and `Judging` work on it in the
/// federation's name.
library Ledger {
    using Words for uint256;

    uint256 internal constant TRAINER = 1;
    uint256 internal constant VALIDATOR = 2;

    uint256 internal constant RING = 8; // windows
    uint256 internal constant MODELS = 64; // versions
    uint256 internal constant MAX_SEATS = 32;
    uint256 internal constant MAX_UPDATES = 16;
    uint256 internal constant ALL_SEATS = type(uint32).max;
    uint256 internal constant PPM = 1e6;
    uint256 internal constant MAX_PARTICIPANTS = 2 ** 20 - 1; // ever; a result has so much room for an id
    uint256 private constant ID_WORDS = 2 ** 18; // four ids a word
    uint256 private constant RESULT_WORDS = 3; // of a window

    // Outcomes of a window that has ended.
    uint256 internal constant UNTALLIED = 0;
    uint256 internal constant TALLIED = 1;
    uint256 internal constant FINAL = 2;

    struct State {
        uint256 now_; // Now
        uint256 round; // Round
        uint256 till; // Till
        uint256 membership; // Membership
        uint256 stakes; // money
        uint256 slashed; // money
        uint256[4] weights; // eight lanes a word, of the active set
        uint256[4] agreements; // eight lanes a word, of the seats that revealed
        uint256 votes; // a byte a seat: which candidate it attested; of a meaning from the second candidate on
        uint256[MAX_SEATS / 2] seats; // two lanes a word: Seat
        bytes32[MAX_SEATS] candidates; // distinct digests attested
        uint256[RING] headers; // by ring slot: Header
        bytes32[RING * MAX_UPDATES] digests; // by update id modulo the ring
        uint256[RING * RESULT_WORDS] results; // by ring slot, a window's from the first word on: Result
        bytes32[MODELS] models; // the last versions', by version modulo their number
        uint256[ID_WORDS] merits; // four lanes a word, by id: Merit
        uint256[ID_WORDS] services; // likewise: Service
        mapping(address validator => bytes32) ballots; // commitment or packed scores, and the seat: Scores
        mapping(address account => uint256) duties; // Duty
        mapping(address account => uint256) accounts; // Account
        mapping(uint256 id => address) participants;
        mapping(address account => bytes32) profiles;
        mapping(uint256 nonce => bool) invitationUsed;
        uint64 invitationEpoch;
    }

    function meritOf(State storage s, uint256 id) internal view returns (uint256) {
        return meritsBeside(s, id).lane(id % 4, 64);
    }

    function setMerit(State storage s, uint256 id, uint256 merit) internal {
        setMeritsBeside(s, id, meritsBeside(s, id).withLane(id % 4, 64, merit));
    }

    function serviceOf(State storage s, uint256 id) internal view returns (uint256) {
        return servicesBeside(s, id).lane(id % 4, 64);
    }

    function setService(State storage s, uint256 id, uint256 service) internal {
        setServicesBeside(s, id, servicesBeside(s, id).withLane(id % 4, 64, service));
    }

    /// @notice The word with a merit and those of its neighbours: to read and write it at once.
    function meritsBeside(State storage s, uint256 id) internal view returns (uint256) {
        return _load(s.merits, id);
    }

    function setMeritsBeside(State storage s, uint256 id, uint256 word) internal {
        _store(s.merits, id, word);
    }

    /// @notice Likewise with a service.
    function servicesBeside(State storage s, uint256 id) internal view returns (uint256) {
        return _load(s.services, id);
    }

    function setServicesBeside(State storage s, uint256 id, uint256 word) internal {
        _store(s.services, id, word);
    }

    /// @dev Safe: an id is at most MAX_PARTICIPANTS, so its quarter is an index of the array; which the compiler would
    /// check, and read the word again before it writes it.
    function _load(
        uint256[ID_WORDS] storage words,
        uint256 id
    ) private view returns (uint256 word) {
        assembly ("memory-safe") {
            word := sload(add(words.slot, shr(2, id)))
        }
    }

    /// @dev Safe: as above.
    function _store(uint256[ID_WORDS] storage words, uint256 id, uint256 word) private {
        assembly ("memory-safe") {
            sstore(add(words.slot, shr(2, id)), word)
        }
    }

    function seatAt(State storage s, uint256 seat) internal view returns (uint256) {
        return s.seats[seat / 2].lane(seat % 2, 128);
    }

    function setSeat(State storage s, uint256 seat, uint256 value) internal {
        s.seats[seat / 2] = s.seats[seat / 2].withLane(seat % 2, 128, value);
    }

    /// @notice Whose seat it is; the seat must be taken.
    function holderOf(State storage s, uint256 seat) internal view returns (address) {
        return s.participants[seatAt(s, seat).get(Seat.ID)];
    }

    /// @notice Where a window's results begin.
    function resultsOf(uint256 window) internal pure returns (uint256) {
        unchecked {
            return (window % RING) * RESULT_WORDS; // safe: below RING * RESULT_WORDS
        }
    }

    /// @notice Where an update's digest lies.
    function placeOf(uint256 window, uint256 index) internal pure returns (uint256) {
        unchecked {
            return (window % RING) * MAX_UPDATES + index; // safe: below RING * MAX_UPDATES
        }
    }

    /// @notice An update's id; the window is below 2^32.
    function idOf(uint256 window, uint256 index) internal pure returns (uint256) {
        unchecked {
            return window * MAX_UPDATES + index; // safe: below 2^36
        }
    }

    /// @notice The running hash over a window's updates: the last 64 bits of
    /// keccak256(abi.encode(before, author, base version, root digest, root codec, encoding, samples)).
    /// @dev For `submitUpdate` alone: from the base version on, these are its arguments, as they lie in its calldata.
    function chain(uint256 before, address author) internal pure returns (uint64 hash) {
        assembly ("memory-safe") {
            let free := mload(0x40) // not kept
            mstore(free, before)
            mstore(add(free, 0x20), author)
            calldatacopy(add(free, 0x40), 4, 0xa0)
            hash := and(keccak256(free, 0xe0), 0xffffffffffffffff)
        }
    }

    function isIn(uint256 set, uint256 seat) internal pure returns (bool) {
        return (set >> seat) & 1 != 0;
    }

    function weightOf(State storage s, uint256 seat) internal view returns (uint256) {
        return Words.lane(s.weights[seat / 8], seat % 8, 32);
    }

    /// @notice The weight of a set of active seats.
    function weigh(State storage s, uint256 seats) internal view returns (uint256 sum) {
        unchecked {
            // Safe: at most 32 weights of 32 bits.
            for (uint256 k = 0; seats != 0; (k, seats) = (k + 1, seats >> 8)) {
                if (seats & 0xff == 0) continue;
                uint256 word = s.weights[k];
                for (
                    uint256 lanes = seats & 0xff;
                    lanes != 0;
                    (lanes, word) = (lanes >> 1, word >> 32)
                ) {
                    if (lanes & 1 != 0) sum += uint32(word);
                }
            }
        }
    }

    /// @notice Who attested a candidate, of the window being judged.
    function votersOf(
        State storage s,
        uint256 round,
        uint256 candidate
    ) internal view returns (uint256 voters) {
        uint256 attested = round.get(Round.ATTESTED);
        if (round.get(Round.CANDIDATES) < 2) return attested;
        uint256 votes = s.votes;
        for (uint256 seat = 0; attested >> seat != 0; ++seat) {
            if (isIn(attested, seat) && Words.lane(votes, seat, 8) == candidate)
                voters |= 1 << seat;
        }
    }
}
