// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

/// @title How a federation's values lie in words of storage
/// @notice A value that is read and written as a whole is one word in storage and a struct of full words in memory.
/// Fields are packed in the order of the struct, the first at the bottom; each says its width in bits.
/// @dev `pack` does not mask: who sets a field keeps it within its width. Where that is not plain from the field's
/// meaning, the place that sets it says why. All arithmetic here is shifts.
library Words {
    /// @dev All that a submission needs to know of the federation, with the open window's header: 256 bits.
    struct Now {
        uint256 version; // 32
        uint256 openWindow; // 32
        uint256 judgingWindow; // 32
        uint256 openedAt; // 40
        uint256 updates; // 8
        uint256 size; // 8: K
        uint256 flags; // 8
        uint256 codecs; // 16; bit i: update i's root is dag-pb
        uint256 outcomes; // 16; two bits a ring slot
        uint256 runningHash; // 64
    }

    /// @dev A sealed window's header: 176 bits.
    struct Header {
        uint256 openedAt; // 40
        uint256 sealedAt; // 40
        uint256 updates; // 8
        uint256 isVoid; // 8; sealed with too few updates
        uint256 codecs; // 16
        uint256 runningHash; // 64
    }

    /// @dev A participant as an author: 248 bits. The older of its last two updates counts back from the newer one, and
    /// is there while `olderBack` is not 0.
    struct Duty {
        uint256 window; // 32
        uint256 base; // 32
        uint256 samples; // 32
        uint256 index; // 8
        uint256 olderBack; // 8; windows
        uint256 olderBaseBack; // 16; versions
        uint256 olderSamples; // 32
        uint256 olderIndex; // 8
        uint256 seat; // 8; one more than the seat, 0: none
        uint256 flags; // 8
        uint256 id; // 24
        uint256 jailedUntil; // 40
    }

    /// @dev A participant as a staker and validator: 248 bits.
    struct Account {
        uint256 stake; // 96
        uint256 exitAt; // 40
        uint256 jailedUntil; // 40
        uint256 reputation; // 24
        uint256 id; // 24; from 1, an address keeps it
        uint256 roles; // 8
        uint256 seat; // 8; one more than the seat, 0: none
        uint256 missed; // 8; windows in a row
    }

    /// @dev The window being judged: 248 bits. A seat of the active set is in `owing` until it reveals, and in
    /// `committed` from its commitment (or direct reveal) on.
    struct Round {
        uint256 window; // 32
        uint256 tag; // 64
        uint256 owing; // 32
        uint256 committed; // 32
        uint256 attested; // 32
        uint256 deadline; // 40; of the stage
        uint256 updates; // 5
        uint256 candidates; // 6; distinct digests attested
        uint256 stage; // 5
    }

    /// @dev The reward money: 256 bits.
    struct Till {
        uint256 pool; // 104
        uint256 credits; // 112
        uint256 lastFinalSealedAt; // 40
    }

    /// @dev Who is in: 240 bits.
    struct Membership {
        uint256 participants; // 24; ids given
        uint256 trainers; // 24
        uint256 seats; // 32; bitmap
        uint256 challenger; // 160; an address
    }

    /// @dev What a participant has earned: 64 bits, four to a word.
    struct Merit {
        uint256 credit; // 36; in units
        uint256 reputation; // 20; as a trainer
        uint256 history; // 8; the last verdicts, latest at the bottom, 1: rejected
    }

    function unpackNow(uint256 word) internal pure returns (Now memory) {
        return
            Now({
                version: uint32(word),
                openWindow: uint32(word >> 32),
                judgingWindow: uint32(word >> 64),
                openedAt: uint40(word >> 96),
                updates: uint8(word >> 136),
                size: uint8(word >> 144),
                flags: uint8(word >> 152),
                codecs: uint16(word >> 160),
                outcomes: uint16(word >> 176),
                runningHash: word >> 192
            });
    }

    function pack(Now memory n) internal pure returns (uint256) {
        return
            n.version |
            (n.openWindow << 32) |
            (n.judgingWindow << 64) |
            (n.openedAt << 96) |
            (n.updates << 136) |
            (n.size << 144) |
            (n.flags << 152) |
            (n.codecs << 160) |
            (n.outcomes << 176) |
            (n.runningHash << 192);
    }

    function unpackHeader(uint256 word) internal pure returns (Header memory) {
        return
            Header({
                openedAt: uint40(word),
                sealedAt: uint40(word >> 40),
                updates: uint8(word >> 80),
                isVoid: uint8(word >> 88),
                codecs: uint16(word >> 96),
                runningHash: uint64(word >> 112)
            });
    }

    function pack(Header memory h) internal pure returns (uint256) {
        return
            h.openedAt |
            (h.sealedAt << 40) |
            (h.updates << 80) |
            (h.isVoid << 88) |
            (h.codecs << 96) |
            (h.runningHash << 112);
    }

    function unpackDuty(uint256 word) internal pure returns (Duty memory) {
        return
            Duty({
                window: uint32(word),
                base: uint32(word >> 32),
                samples: uint32(word >> 64),
                index: uint8(word >> 96),
                olderBack: uint8(word >> 104),
                olderBaseBack: uint16(word >> 112),
                olderSamples: uint32(word >> 128),
                olderIndex: uint8(word >> 160),
                seat: uint8(word >> 168),
                flags: uint8(word >> 176),
                id: uint24(word >> 184),
                jailedUntil: uint40(word >> 208)
            });
    }

    function pack(Duty memory d) internal pure returns (uint256) {
        return
            d.window |
            (d.base << 32) |
            (d.samples << 64) |
            (d.index << 96) |
            (d.olderBack << 104) |
            (d.olderBaseBack << 112) |
            (d.olderSamples << 128) |
            (d.olderIndex << 160) |
            (d.seat << 168) |
            (d.flags << 176) |
            (d.id << 184) |
            (d.jailedUntil << 208);
    }

    function unpackAccount(uint256 word) internal pure returns (Account memory) {
        return
            Account({
                stake: uint96(word),
                exitAt: uint40(word >> 96),
                jailedUntil: uint40(word >> 136),
                reputation: uint24(word >> 176),
                id: uint24(word >> 200),
                roles: uint8(word >> 224),
                seat: uint8(word >> 232),
                missed: word >> 240
            });
    }

    function pack(Account memory a) internal pure returns (uint256) {
        return
            a.stake |
            (a.exitAt << 96) |
            (a.jailedUntil << 136) |
            (a.reputation << 176) |
            (a.id << 200) |
            (a.roles << 224) |
            (a.seat << 232) |
            (a.missed << 240);
    }

    function unpackRound(uint256 word) internal pure returns (Round memory) {
        return
            Round({
                window: uint32(word),
                tag: uint64(word >> 32),
                owing: uint32(word >> 96),
                committed: uint32(word >> 128),
                attested: uint32(word >> 160),
                deadline: uint40(word >> 192),
                updates: (word >> 232) & 31,
                candidates: (word >> 237) & 63,
                stage: word >> 243
            });
    }

    function pack(Round memory r) internal pure returns (uint256) {
        return
            r.window |
            (r.tag << 32) |
            (r.owing << 96) |
            (r.committed << 128) |
            (r.attested << 160) |
            (r.deadline << 192) |
            (r.updates << 232) |
            (r.candidates << 237) |
            (r.stage << 243);
    }

    function unpackTill(uint256 word) internal pure returns (Till memory) {
        return
            Till({
                pool: uint104(word),
                credits: uint112(word >> 104),
                lastFinalSealedAt: word >> 216
            });
    }

    function pack(Till memory t) internal pure returns (uint256) {
        return t.pool | (t.credits << 104) | (t.lastFinalSealedAt << 216);
    }

    function unpackMembership(uint256 word) internal pure returns (Membership memory) {
        return
            Membership({
                participants: uint24(word),
                trainers: uint24(word >> 24),
                seats: uint32(word >> 48),
                challenger: word >> 80
            });
    }

    function pack(Membership memory m) internal pure returns (uint256) {
        return m.participants | (m.trainers << 24) | (m.seats << 48) | (m.challenger << 80);
    }

    function unpackMerit(uint256 merit) internal pure returns (Merit memory) {
        return
            Merit({
                credit: merit & (2 ** 36 - 1),
                reputation: (merit >> 36) & (2 ** 20 - 1),
                history: uint8(merit >> 56)
            });
    }

    function pack(Merit memory m) internal pure returns (uint256) {
        return m.credit | (m.reputation << 36) | (m.history << 56);
    }

    /// @notice The lane of `width` bits at `index`, counted from the bottom.
    function lane(uint256 word, uint256 index, uint256 width) internal pure returns (uint256) {
        return (word >> (index * width)) & ((1 << width) - 1);
    }

    /// @notice The word with another value in that lane; `value` is within the width.
    function withLane(
        uint256 word,
        uint256 index,
        uint256 width,
        uint256 value
    ) internal pure returns (uint256) {
        uint256 shift = index * width;
        return (word & ~(((1 << width) - 1) << shift)) | (value << shift);
    }
}
