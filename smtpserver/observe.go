package smtpserver

import "github.com/emersion/go-smtp"

// An Action is something that a server has done with mail instead of delivering it
// as the client asked. See [Server.Observe].
type Action struct {
	Kind ActionKind
	// By is the name of the agent that has decided, "handler", or a part of the
	// server: "server", "limits", "auth", "login limit", "pipelining", "content
	// file".
	By string
	// Reply is the reply with which the mail was refused. It is nil for other kinds.
	Reply *smtp.SMTPError
	// Message is the ID of the transaction (Message.ID). It is empty outside a
	// transaction. From is its reverse-path.
	Message, From string
	// Recipients are those that the action concerns: a refused recipient, or all
	// recipients of the message. None means that the whole session, or MAIL, was
	// refused. The slice must not be changed.
	Recipients []string
	// To is the address at which a message is quarantined.
	To string
	// Complete reports whether the end of data was received.
	Complete bool
}

// An ActionKind is the kind of an [Action].
type ActionKind uint8

const (
	// Refused: the client got a negative reply.
	Refused ActionKind = iota + 1
	// Discarded: the client got a positive reply, and the message was dropped.
	Discarded
	// Quarantined: the message goes to a quarantine instead of its recipients,
	// unless another agent refuses it later.
	Quarantined
)

// Quarantined tells the server that an agent has taken the message away from these
// recipients and sends it to another address instead. It has no effect on the
// message. It is called while an agent handles the message.
func (s *Session) Quarantined(to string, recipients ...string) {
	s.observe(&Action{Kind: Quarantined, By: s.entry.Waiting(), To: to, Recipients: recipients})
}

// observe calls Server.Observe, if it is set.
func (s *Session) observe(a *Action) {
	if s.srv.Observe == nil {
		return
	}
	if m := s.msg; m != nil {
		a.Message, a.From, a.Complete = m.ID, m.From, !m.Received.IsZero()
	}
	switch {
	case a.Recipients != nil:
	case s.adding && s.path != "":
		a.Recipients = []string{s.path}
	case s.adding: // the command does not name a recipient
	case s.msg != nil:
		a.Recipients = s.msg.addresses()
	case a.From == "":
		a.From = s.path
	}
	s.srv.Observe(s, a)
}

// addresses returns the addresses of the recipients.
func (m *Message) addresses() []string {
	var all []string
	for i := range m.Recipients {
		all = append(all, m.Recipients[i].Addr)
	}
	return all
}

// observeRefusal observes a refusal. Mistakes of a client in the protocol are not
// about mail.
func (s *Session) observeRefusal(v *verdict) {
	if s.srv.Observe == nil || v.by == "protocol" || v.by == "command" {
		return
	}
	a := &Action{Kind: Refused, By: v.by, Reply: v.reply, Message: v.id, From: v.from, Complete: v.id != ""}
	if v.to != "" {
		a.Recipients = []string{v.to}
	}
	s.observe(a)
}
