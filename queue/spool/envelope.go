package spool

import (
	"errors"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/internal/envelope"
	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/internal/index"
)

// The meta of a message record consists of head, state and envelope. The meta of a
// state record consists of the message ID and a state. Recovery decodes only the
// part before the recipients.

// A head has the data of a message that the index needs, and describes where the
// content is.
type head struct {
	id       string
	received time.Time
	priority int
	size     int64 // of the content
	parts    []part
	fileCRC  uint32 // CRC-32C over the parts in the content file, in order
}

// A part is n bytes of the content. They are in the body of the record, after the
// part before, or in the content file at off.
type part struct {
	inFile bool
	off, n int64
}

// facts returns what the index keeps. from is the sender.
func (h *head) facts(from index.Address) index.Facts {
	return index.Facts{Priority: h.priority, Size: h.size, Received: h.received, From: from}
}

func (h *head) inFile() bool {
	for _, p := range h.parts {
		if p.inFile {
			return true
		}
	}
	return false
}

func (e *encoder) head(h *head) {
	e.str(h.id)
	e.time(h.received)
	e.int(int64(h.priority))
	e.uint(uint64(h.size))
	e.uint(uint64(len(h.parts)))
	for _, p := range h.parts {
		e.bool(p.inFile)
		if p.inFile {
			e.uint(uint64(p.off))
		}
		e.uint(uint64(p.n))
	}
	e.uint(uint64(h.fileCRC))
}

func (d *decoder) head() (h head) {
	h.id = d.str()
	h.received = d.time()
	h.priority = int(d.int())
	h.size = int64(d.uint())
	n := d.count()
	if n > 0 {
		h.parts = make([]part, 0, n)
	}
	var sum int64
	for range n {
		p := part{inFile: d.bool()}
		if p.inFile {
			p.off = int64(d.uint())
		}
		p.n = int64(d.uint())
		if p.n < 0 || p.off < 0 || sum+p.n < sum || p.off+p.n < p.off {
			d.fail()
			break
		}
		sum += p.n
		h.parts = append(h.parts, p)
	}
	h.fileCRC = uint32(d.uint())
	if d.err == nil && (sum != h.size || queue.ValidID(h.id) != nil) {
		d.fail()
	}
	return h
}

// A state is the data of a message that Update changes.
type state struct {
	due         time.Time
	wait        time.Duration
	hop         queue.NextHop
	interrupted int
	recipients  []*queue.Recipient
}

func stateOf(m *queue.Message, s queue.Schedule) state {
	st := state{due: s.Due, wait: s.Wait, hop: s.Hop, interrupted: m.Interrupted, recipients: m.Recipients}
	if s.Volatile {
		st.due, st.wait, st.hop = time.Time{}, 0, queue.NextHop{}
	}
	return st
}

func (e *encoder) state(s *state) {
	e.schedule(s)
	e.recipients(s.recipients)
}

func (e *encoder) schedule(s *state) {
	e.due(s.due, s.wait)
	e.str(s.hop.Connector)
	e.str(s.hop.Destination)
	e.uint(uint64(s.interrupted))
}

// schedule decodes a state without the recipients.
func (d *decoder) schedule() (s state) {
	s.due, s.wait = d.due()
	s.hop.Connector = d.str()
	s.hop.Destination = d.str()
	s.interrupted = int(d.uint())
	return s
}

func (d *decoder) state() (s state) {
	s = d.schedule()
	s.recipients = d.recipients()
	return s
}

// Flags for the data that a recipient has in addition to its address.
const (
	hasOptions = 1 << iota
	hasHistory
	hasRoute
	hasResult
)

func (e *encoder) recipients(rs []*queue.Recipient) {
	e.uint(uint64(len(rs)))
	for _, r := range rs {
		e.recipient(r)
	}
}

func (d *decoder) recipients() []*queue.Recipient {
	n := d.count()
	rs := make([]*queue.Recipient, 0, n)
	all := make([]queue.Recipient, n)
	for i := range n {
		d.recipient(&all[i])
		if d.err != nil {
			return nil
		}
		rs = append(rs, &all[i])
	}
	return rs
}

func (e *encoder) recipient(r *queue.Recipient) {
	var has byte
	if o := &r.Options; o.Notify != nil || o.OriginalRecipient != "" || o.OriginalRecipientType != "" ||
		!o.RequireRecipientValidSince.IsZero() || o.DeliverBy != nil || o.MTPriority != nil {
		has |= hasOptions
	}
	if r.Status != 0 || r.Attempts != 0 || !r.NextAttempt.IsZero() || !r.LastAttempt.IsZero() || r.Notified || r.Last != (queue.Result{}) {
		has |= hasHistory
	}
	if r.Route != (queue.NextHop{}) {
		has |= hasRoute
	}
	if r.Acknowledged || r.ResultTries != 0 {
		has |= hasResult
	}
	e.byte(has)
	e.str(r.Addr)
	if has&hasRoute != 0 {
		e.str(r.Route.Connector)
		e.str(r.Route.Destination)
	}
	if has&hasOptions != 0 {
		e.rcptOptions(&r.Options)
	}
	if has&hasHistory != 0 {
		e.history(r)
	}
	if has&hasResult != 0 {
		e.bool(r.Acknowledged)
		e.uint(uint64(r.ResultTries))
	}
}

func (d *decoder) recipient(r *queue.Recipient) {
	has := d.byte()
	r.Addr = d.str()
	if has&hasRoute != 0 {
		r.Route.Connector = d.str()
		r.Route.Destination = d.str()
	}
	if has&hasOptions != 0 {
		d.rcptOptions(&r.Options)
	}
	if has&hasHistory != 0 {
		d.history(r)
	}
	if has&hasResult != 0 {
		r.Acknowledged = d.bool()
		r.ResultTries = int(d.uint())
	}
}

func (e *encoder) rcptOptions(o *queue.RcptOptions) {
	e.uint(uint64(len(o.Notify)))
	for _, n := range o.Notify {
		e.str(string(n))
	}
	e.str(string(o.OriginalRecipientType))
	e.str(o.OriginalRecipient)
	e.time(o.RequireRecipientValidSince)
	e.bool(o.DeliverBy != nil)
	if by := o.DeliverBy; by != nil {
		e.int(int64(by.Time))
		e.str(string(by.Mode))
		e.bool(by.Trace)
	}
	e.bool(o.MTPriority != nil)
	if o.MTPriority != nil {
		e.int(int64(*o.MTPriority))
	}
}

func (d *decoder) rcptOptions(o *queue.RcptOptions) {
	for range d.count() {
		o.Notify = append(o.Notify, smtp.DSNNotify(d.str()))
	}
	o.OriginalRecipientType = smtp.DSNAddressType(d.str())
	o.OriginalRecipient = d.str()
	o.RequireRecipientValidSince = d.time()
	if d.bool() {
		o.DeliverBy = &smtp.DeliverByOptions{
			Time: time.Duration(d.int()), Mode: smtp.DeliverByMode(d.str()), Trace: d.bool(),
		}
	}
	if d.bool() {
		p := int(d.int())
		o.MTPriority = &p
	}
}

// history encodes the delivery status of a recipient and its last attempt.
func (e *encoder) history(r *queue.Recipient) {
	e.byte(byte(r.Status))
	e.uint(uint64(r.Attempts))
	e.due(r.NextAttempt, r.RetryWait)
	e.time(r.LastAttempt)
	e.bool(r.Notified)
	l := &r.Last
	e.byte(byte(l.Outcome))
	e.int(int64(l.Reply.Code))
	for _, n := range l.Reply.EnhancedCode {
		e.int(int64(n))
	}
	e.str(l.Reply.Message)
	e.str(l.Host)
	e.str(l.Addr)
	e.str(l.TLS)
	e.bool(l.DSN)
	e.bool(l.Final)
	e.bool(l.Err != nil)
	if l.Err != nil {
		e.str(l.Err.Error())
	}
}

func (d *decoder) history(r *queue.Recipient) {
	r.Status = queue.Status(d.byte())
	r.Attempts = int(d.uint())
	r.NextAttempt, r.RetryWait = d.due()
	r.LastAttempt = d.time()
	r.Notified = d.bool()
	l := &r.Last
	l.Outcome = queue.Outcome(d.byte())
	l.Reply.Code = int(d.int())
	for i := range l.Reply.EnhancedCode {
		l.Reply.EnhancedCode[i] = int(d.int())
	}
	l.Reply.Message = d.str()
	l.Host = d.str()
	l.Addr = d.str()
	l.TLS = d.str()
	l.DSN = d.bool()
	l.Final = d.bool()
	if d.bool() {
		l.Err = errors.New(d.str())
	}
}

// envelope encodes the data of a message that never changes and that only delivery
// needs.
func (e *encoder) envelope(m *queue.Message) {
	e.str(m.From)
	o := &m.Options
	e.str(string(o.Body))
	e.int(o.Size)
	e.bool(o.RequireTLS)
	e.bool(o.UTF8)
	e.str(string(o.Return))
	e.str(o.EnvelopeID)
	e.bool(o.Auth != nil)
	if o.Auth != nil {
		e.str(*o.Auth)
	}
	e.time(m.Options.Release)
	e.str(m.Origin.Connector)
	e.str(m.Origin.ClientAddr)
	e.str(m.Origin.ClientHelo)
	e.str(m.Origin.Identity)
	e.str(m.Origin.Protocol)
	e.bool(m.System)
	e.extensions(m)
}

// Extensions are the data of the envelope that few messages have. They follow the
// envelope: each begins with its number. (Format version 3. A program that does not
// know an extension must not deliver the message without it, so a new extension
// needs a new version.)
const (
	extLabels = 1 + iota // the number of labels, and the key and the value of each
	extOrigin            // Origin.ServerAddr and Origin.Internal (version 5)
)

func (e *encoder) extensions(m *queue.Message) {
	if labels := m.Options.Labels; len(labels) > 0 {
		e.uint(extLabels)
		e.uint(uint64(len(labels)))
		for _, key := range envelope.SortedKeys(labels) {
			e.str(key)
			e.str(labels[key])
		}
	}
	if o := &m.Origin; o.ServerAddr != "" || o.Internal {
		e.uint(extOrigin)
		e.str(o.ServerAddr)
		e.bool(o.Internal)
	}
}

func (d *decoder) extensions(m *queue.Message) {
	for len(d.b) > 0 {
		switch d.uint() {
		case extLabels:
			n := d.count()
			m.Options.Labels = make(map[string]string, n)
			for range n {
				key := d.str()
				m.Options.Labels[key] = d.str()
			}
		case extOrigin:
			m.Origin.ServerAddr = d.str()
			m.Origin.Internal = d.bool()
		default:
			d.fail()
		}
	}
}

func (d *decoder) envelope(m *queue.Message) {
	m.From = d.str()
	o := &m.Options
	o.Body = smtp.BodyType(d.str())
	o.Size = d.int()
	o.RequireTLS = d.bool()
	o.UTF8 = d.bool()
	o.Return = smtp.DSNReturn(d.str())
	o.EnvelopeID = d.str()
	if d.bool() {
		auth := d.str()
		o.Auth = &auth
	}
	m.Options.Release = d.time()
	m.Origin.Connector = d.str()
	m.Origin.ClientAddr = d.str()
	m.Origin.ClientHelo = d.str()
	m.Origin.Identity = d.str()
	m.Origin.Protocol = d.str()
	m.System = d.bool()
	d.extensions(m)
}
