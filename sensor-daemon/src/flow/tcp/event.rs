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
    /// An acknowledgement far outside what the other side has sent.
    InvalidAck,
    /// The same, while neither side has ended.
    EstablishedInvalidAck,
    /// The same, after the client ended.
    FinWait1InvalidAck,
    /// The same, after the server acknowledged that.
    FinWait2InvalidAck,
    /// The same, after the server ended.
    CloseWaitInvalidAck,
    /// The same, after both ended, and the server's end is not acknowledged.
    LastAckInvalidAck,
    /// The same, after both ended, and the client's end is not acknowledged.
    ClosingInvalidAck,
    /// The same, after both ended.
    TimeWaitInvalidAck,
    /// A SYN of the client, sent again after both have sent more.
    SynResend,
    /// A SYN of the server within an established connection.
    SynToClient,
    /// A SYN after one side ended.
    ShutdownSynResend,
    /// A SYN/ACK of the server, sent again after both have sent more.
    SynAckResend,
    /// The same, with another acknowledgement.
    SynAckResendDifferentAck,
    /// A SYN/ACK of the client within an established connection.
    SynAckToServer,
    /// A SYN of the server, after it answered that of the client.
    HandshakeSynToClient,
    /// A SYN/ACK of the client, after the server answered its SYN.
    HandshakeSynAckToServer,
    /// A SYN/ACK that is sent again with another acknowledgement, before the handshake is complete.
    HandshakeSynAckDifferentAck,
    /// A SYN/ACK of the side that sent the SYN.
    SynAckInWrongDirection,
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
    pub const ALL: [Self; 33] = [
        Self::SequenceGap,
        Self::OverlapDifferentData,
        Self::Retransmission,
        Self::OutOfWindow,
        Self::FinSyn,
        Self::BrokenAck,
        Self::FinWithoutSession,
        Self::RstWithoutSession,
        Self::SuspectedRstInject,
        Self::InvalidAck,
        Self::EstablishedInvalidAck,
        Self::FinWait1InvalidAck,
        Self::FinWait2InvalidAck,
        Self::CloseWaitInvalidAck,
        Self::LastAckInvalidAck,
        Self::ClosingInvalidAck,
        Self::TimeWaitInvalidAck,
        Self::SynResend,
        Self::SynToClient,
        Self::ShutdownSynResend,
        Self::SynAckResend,
        Self::SynAckResendDifferentAck,
        Self::SynAckToServer,
        Self::HandshakeSynToClient,
        Self::HandshakeSynAckToServer,
        Self::HandshakeSynAckDifferentAck,
        Self::SynAckInWrongDirection,
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
            Self::InvalidAck => "pkt_invalid_ack",
            Self::EstablishedInvalidAck => "est_invalid_ack",
            Self::FinWait1InvalidAck => "fin1_invalid_ack",
            Self::FinWait2InvalidAck => "fin2_invalid_ack",
            Self::CloseWaitInvalidAck => "closewait_invalid_ack",
            Self::LastAckInvalidAck => "lastack_invalid_ack",
            Self::ClosingInvalidAck => "closing_invalid_ack",
            Self::TimeWaitInvalidAck => "timewait_invalid_ack",
            Self::SynResend => "est_syn_resend",
            Self::SynToClient => "est_syn_toclient",
            Self::ShutdownSynResend => "shutdown_syn_resend",
            Self::SynAckResend => "est_synack_resend",
            Self::SynAckResendDifferentAck => "est_synack_resend_with_different_ack",
            Self::SynAckToServer => "est_synack_toserver",
            Self::HandshakeSynToClient => "3whs_syn_toclient_on_syn_recv",
            Self::HandshakeSynAckToServer => "3whs_synack_toserver_on_syn_recv",
            Self::HandshakeSynAckDifferentAck => "3whs_synack_resend_with_different_ack",
            Self::SynAckInWrongDirection => "3whs_synack_in_wrong_direction",
            Self::SynResendDifferentSequence => "est_syn_resend_diff_seq",
            Self::SynAckResendDifferentSequence => "est_synack_resend_with_diff_seq",
            Self::HandshakeSynDifferentSequence => "3whs_syn_resend_diff_seq_on_syn_recv",
            Self::HandshakeSynAckDifferentSequence => "3whs_synack_resend_with_diff_seq",
            Self::SynAckWrongAck => "3whs_synack_with_wrong_ack",
            Self::InvalidTimestamp => "pkt_invalid_timestamp",
        }
    }
}
