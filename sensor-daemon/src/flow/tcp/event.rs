//! What a TCP stream shows that an honest, wholly captured one does not.

/// A stream event, in the spelling of Suricata's `stream-event` keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum StreamEvent {
    /// Bytes were lost for good: the capture missed them, or a bound was reached.
    SequenceGap,
    /// Two segments gave different bytes for the same place, before either was handed on: a sign of evasion.
    OverlapDifferentData,
    /// A segment of which every byte had come before.
    Retransmission,
    /// A segment so far from what is expected that it cannot be of this stream as known.
    OutOfWindow,
    /// SYN and FIN in one segment.
    FinSyn,
    /// The acknowledgement field is set without the ACK flag.
    BrokenAck,
    /// A flow begins with a FIN.
    FinWithoutSession,
    /// A flow begins with a RST.
    RstWithoutSession,
    /// Data goes on in order after a reset from the same side: its receiver did not believe the reset.
    SuspectedRstInject,
    /// A SYN within an established connection, with another sequence number than its first.
    SynResendDifferentSequence,
    /// A SYN/ACK within an established connection, with another sequence number than its first.
    SynAckResendDifferentSequence,
    /// A SYN that contradicts the one answered, before the handshake is complete.
    HandshakeSynDifferentSequence,
    /// A SYN/ACK that contradicts the one before, before the handshake is complete.
    HandshakeSynAckDifferentSequence,
    /// A SYN/ACK that does not acknowledge the SYN.
    SynAckWrongAck,
    /// The answer to a SYN echoes a timestamp that the SYN had not (RFC 7323): its receiver does not take it.
    InvalidTimestamp,
}

impl StreamEvent {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::SequenceGap,
        Self::OverlapDifferentData,
        Self::Retransmission,
        Self::OutOfWindow,
        Self::FinSyn,
        Self::BrokenAck,
        Self::FinWithoutSession,
        Self::RstWithoutSession,
        Self::SuspectedRstInject,
        Self::SynResendDifferentSequence,
        Self::SynAckResendDifferentSequence,
        Self::HandshakeSynDifferentSequence,
        Self::HandshakeSynAckDifferentSequence,
        Self::SynAckWrongAck,
        Self::InvalidTimestamp,
    ];

    /// The name in rules, after `stream-event:`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::SequenceGap => "reassembly_seq_gap",
            Self::OverlapDifferentData => "reassembly_overlap_different_data",
            Self::Retransmission => "pkt_retransmission",
            Self::OutOfWindow => "est_packet_out_of_window",
            Self::FinSyn => "fin_syn",
            Self::BrokenAck => "pkt_broken_ack",
            Self::FinWithoutSession => "fin_but_no_session",
            Self::RstWithoutSession => "rst_but_no_session",
            Self::SuspectedRstInject => "suspected_rst_inject",
            Self::SynResendDifferentSequence => "est_syn_resend_diff_seq",
            Self::SynAckResendDifferentSequence => "est_synack_resend_with_diff_seq",
            Self::HandshakeSynDifferentSequence => "3whs_syn_resend_diff_seq_on_syn_recv",
            Self::HandshakeSynAckDifferentSequence => "3whs_synack_resend_with_diff_seq",
            Self::SynAckWrongAck => "3whs_synack_with_wrong_ack",
            Self::InvalidTimestamp => "pkt_invalid_timestamp",
        }
    }
}
