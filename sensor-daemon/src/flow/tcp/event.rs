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
    /// A FIN so far from what is expected that it cannot be of this stream as known.
    FinOutOfWindow,
    /// A segment far from what is expected, after the client ended.
    FinWait1WrongSequence,
    /// The same, with a FIN.
    FinWait1FinWrongSequence,
    /// A segment far from what is expected, after the server acknowledged the end of the client.
    FinWait2WrongSequence,
    /// The same, with a FIN.
    FinWait2FinWrongSequence,
    /// A segment far from what is expected, after the server ended.
    CloseWaitOutOfWindow,
    /// The same, with a FIN.
    CloseWaitFinOutOfWindow,
    /// A segment far from what is expected, after both ended, and the server's end is not acknowledged.
    LastAckWrongSequence,
    /// The same, and the client's end is not acknowledged.
    ClosingWrongSequence,
    /// The same, and the client's end is acknowledged.
    TimeWaitWrongSequence,
    /// A FIN whose acknowledgement is far outside what the other side has sent.
    FinInvalidAck,
    /// The same of a RST.
    RstInvalidAck,
    /// A segment of which every byte had come before and was acknowledged.
    SpuriousRetransmission,
    /// The same, and more behind it was acknowledged.
    EstablishedBeforeLastAck,
    /// The same, after the server ended.
    CloseWaitBeforeLastAck,
    /// More SYNs that contradict each other than a client sends.
    SynFlood,
    /// More SYN/ACKs that contradict each other than a server sends.
    SynAckFlood,
    /// The end of the handshake has another sequence number and acknowledgement than its beginning.
    HandshakeWrongSequenceAndAck,
    /// The same of the acknowledgement alone: a sign of evasion.
    HandshakeWrongAck,
    /// The data that came with a SYN are not acknowledged with it.
    SynDataIgnored,
    /// After the SYNs of both sides crossed, a SYN/ACK that does not acknowledge that of the other side.
    CrossingSynAckWrongAck,
    /// The same, with another sequence number than the SYN of its side.
    CrossingSynAckWrongSyn,
    /// After the SYNs of both sides crossed, a segment far from where its side began.
    CrossingWrongSequence,
    /// The same, with an acknowledgement far from where the other side began.
    CrossingInvalidAck,
    /// Acknowledges what was never sent, and takes back what its sender had offered to take.
    BadWindowUpdate,
    /// A segment of which every byte is before all that is known of its stream.
    BeforeBeginning,
}

impl StreamEvent {
    /// All of them.
    pub const ALL: [Self; 59] = [
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
        Self::FinOutOfWindow,
        Self::FinWait1WrongSequence,
        Self::FinWait1FinWrongSequence,
        Self::FinWait2WrongSequence,
        Self::FinWait2FinWrongSequence,
        Self::CloseWaitOutOfWindow,
        Self::CloseWaitFinOutOfWindow,
        Self::LastAckWrongSequence,
        Self::ClosingWrongSequence,
        Self::TimeWaitWrongSequence,
        Self::FinInvalidAck,
        Self::RstInvalidAck,
        Self::SpuriousRetransmission,
        Self::EstablishedBeforeLastAck,
        Self::CloseWaitBeforeLastAck,
        Self::SynFlood,
        Self::SynAckFlood,
        Self::HandshakeWrongSequenceAndAck,
        Self::HandshakeWrongAck,
        Self::SynDataIgnored,
        Self::CrossingSynAckWrongAck,
        Self::CrossingSynAckWrongSyn,
        Self::CrossingWrongSequence,
        Self::CrossingInvalidAck,
        Self::BadWindowUpdate,
        Self::BeforeBeginning,
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
            Self::FinOutOfWindow => "fin_out_of_window",
            Self::FinWait1WrongSequence => "fin1_ack_wrong_seq",
            Self::FinWait1FinWrongSequence => "fin1_fin_wrong_seq",
            Self::FinWait2WrongSequence => "fin2_ack_wrong_seq",
            Self::FinWait2FinWrongSequence => "fin2_fin_wrong_seq",
            Self::CloseWaitOutOfWindow => "closewait_ack_out_of_window",
            Self::CloseWaitFinOutOfWindow => "closewait_fin_out_of_window",
            Self::LastAckWrongSequence => "lastack_ack_wrong_seq",
            Self::ClosingWrongSequence => "closing_ack_wrong_seq",
            Self::TimeWaitWrongSequence => "timewait_ack_wrong_seq",
            Self::FinInvalidAck => "fin_invalid_ack",
            Self::RstInvalidAck => "rst_invalid_ack",
            Self::SpuriousRetransmission => "pkt_spurious_retransmission",
            Self::EstablishedBeforeLastAck => "est_pkt_before_last_ack",
            Self::CloseWaitBeforeLastAck => "closewait_pkt_before_last_ack",
            Self::SynFlood => "3whs_syn_flood",
            Self::SynAckFlood => "3whs_synack_flood",
            Self::HandshakeWrongSequenceAndAck => "3whs_wrong_seq_wrong_ack",
            Self::HandshakeWrongAck => "3whs_right_seq_wrong_ack_evasion",
            Self::SynDataIgnored => "3whs_synack_tfo_data_ignored",
            Self::CrossingSynAckWrongAck => "4whs_synack_with_wrong_ack",
            Self::CrossingSynAckWrongSyn => "4whs_synack_with_wrong_syn",
            Self::CrossingWrongSequence => "4whs_wrong_seq",
            Self::CrossingInvalidAck => "4whs_invalid_ack",
            Self::BadWindowUpdate => "pkt_bad_window_update",
            Self::BeforeBeginning => "reassembly_segment_before_base_seq",
        }
    }
}
