//! The record of a flow that goes on for long or is over, and what it still holds then.

use vigia_parsers::{Direction, Timestamp, registry};

use super::Inspector;
use super::conversations::has_failed;
use super::pass::Pass;
use super::waiting::holds;
use crate::event::{self, Endpoints, FlowReason, FlowSummary, Header, TcpSummary};
use crate::flow::{self, EndReason, EndedFlow, Flow, FlowState};

/// How long an answer may take. What is older at an interim record of its flow is reported as unanswered.
const PATIENCE_NS: u64 = 60 * 1_000_000_000;

impl Inspector {
    /// A flow goes on for long: it is reported, and with it what was asked in it and never answered.
    #[cold]
    pub(super) fn interim(&mut self, flow: &mut Flow, now: Timestamp) {
        self.report_flow(flow, FlowReason::Interim, now);
        let Some(until) = now.0.checked_sub(PATIENCE_NS).map(Timestamp) else { return };
        let Pass { mut inspection, .. } = self.begin(flow, None, 0, now);
        inspection.touch();
        let mut conversation = inspection.conversation.take();
        if let Some(conversation) = &mut conversation {
            conversation.expire(until, &mut inspection);
        }
        let touched = inspection.touched;
        self.keep(flow, conversation, touched);
    }

    /// A flow is over: what it still holds is handed out, and its record written.
    pub fn ended(&mut self, ended: EndedFlow) {
        let EndedFlow { mut flow, reason, mut at } = ended;
        if let Some(shunting) = &mut self.shunting {
            shunting.ended(&mut flow, &mut self.output.counters);
            at = at.max(flow.last());
        }
        if holds(&flow) {
            self.release(&mut flow, None, 0, at, true);
        }
        let Pass { mut inspection, reassembler, tcp } = self.begin(&mut flow, None, 0, at);
        reassembler.finish(tcp, &mut inspection);
        inspection.touch();
        let mut failed = false;
        if let Some(mut conversation) = inspection.conversation.take() {
            conversation.expire(Timestamp::MAX, &mut inspection);
            failed = conversation.has_failed();
        }
        flow.foreign |= failed;
        let reason = match reason {
            EndReason::Timeout => FlowReason::Timeout,
            EndReason::Forced => FlowReason::Forced,
            EndReason::Shutdown => FlowReason::Shutdown,
            EndReason::TcpReuse => FlowReason::TcpReuse,
        };
        self.report_flow(&flow, reason, at);
        if let Some(memory) = flow.memory {
            self.held.remembered = self.held.remembered.wrapping_sub(1);
            memory.close(&mut self.scratch);
        }
    }

    /// Writes the record of a flow; those of the link layer have none, for consumers expect addresses and ports in it.
    pub(super) fn report_flow(&mut self, flow: &Flow, reason: FlowReason, at: Timestamp) {
        if flow.is_link() {
            return;
        }
        let may_speak = matches!(flow.ip_protocol(), 6 | 17);
        let failed = may_speak && has_failed(flow, flow.conversation.as_deref());
        let tcp = (flow.ip_protocol() == 6).then(|| TcpSummary {
            flags: flow.tcp_flags,
            state: tcp_state(flow.tcp.state()),
            gap: [flow.tcp.has_gap(Direction::ToServer), flow.tcp.has_gap(Direction::ToClient)],
        });
        let summary = FlowSummary {
            packets: flow.packets,
            bytes: flow.bytes,
            start: flow.start(),
            end: flow.last(),
            state: if flow.bypass { event::FlowState::Bypassed } else { flow_state(flow.state()) },
            reason,
            alerted: flow.alerted,
            protocol: flow.protocol.or(failed.then_some(&registry::FAILED)),
            transactions: flow.transactions.into(),
            tcp,
        };
        let header = Header {
            timestamp: at,
            flow_id: flow.id(),
            pcap_filename: &self.names.capture,
            vlans: flow.vlans(),
            endpoints: Some(Endpoints {
                source: flow.client(),
                destination: flow.server(),
                protocol: flow.ip_protocol(),
            }),
            icmp: (flow.ip_protocol() == 1 || flow.ip_protocol() == 58).then_some((flow.icmp[0], flow.icmp[1])),
            ..Header::default()
        };
        let told = self.rules.engine.told_of_flow(flow.memory.as_deref());
        self.output.flow(&header, &summary, &told);
    }
}

fn tcp_state(state: flow::TcpState) -> event::TcpState {
    use flow::TcpState;
    match state {
        TcpState::None => event::TcpState::None,
        TcpState::SynSent => event::TcpState::SynSent,
        TcpState::SynRecv => event::TcpState::SynReceived,
        TcpState::Established => event::TcpState::Established,
        TcpState::FinWait1 => event::TcpState::FinWait1,
        TcpState::FinWait2 => event::TcpState::FinWait2,
        TcpState::TimeWait => event::TcpState::TimeWait,
        TcpState::LastAck => event::TcpState::LastAck,
        TcpState::CloseWait => event::TcpState::CloseWait,
        TcpState::Closing => event::TcpState::Closing,
        TcpState::Closed => event::TcpState::Closed,
    }
}

fn flow_state(state: FlowState) -> event::FlowState {
    match state {
        FlowState::New => event::FlowState::New,
        FlowState::Established => event::FlowState::Established,
        FlowState::Closed => event::FlowState::Closed,
    }
}
