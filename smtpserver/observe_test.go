package smtpserver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// An observed has the actions of a server, as text.
type observed struct {
	mu  sync.Mutex // guards all
	all []string
}

func (o *observed) add(s *smtpserver.Session, a *smtpserver.Action) {
	text := fmt.Sprintf("%v by %s: from <%s> to %s", []string{"", "refused", "discarded", "quarantined"}[a.Kind], a.By, a.From, strings.Join(a.Recipients, ","))
	if a.Reply != nil {
		text += fmt.Sprintf(": %d", a.Reply.Code)
	}
	if a.To != "" {
		text += " at " + a.To
	}
	if a.Complete {
		text += ", complete"
		if m := s.Message(); m != nil {
			text += ", subject " + m.Header.Get("Subject")
		}
	}
	if (a.Message != "") != (s.Message() != nil || a.Complete) {
		text += ", wrong ID " + a.Message
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, text)
}

func (o *observed) texts() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.all)
}

// Observe sees what is refused, discarded and quarantined, and who has decided it.
// Mistakes in the protocol, and mail that is accepted, are no actions.
func TestObserve(t *testing.T) {
	refuse := smtpserver.Reject(550, "5.7.1", "No")
	const begin = "S: 220\nC: EHLO client.example\nS: 250\n"
	const mail = begin + "C: MAIL FROM:<a@example.org>\nS: 250\n"
	const rcpt = mail + "C: RCPT TO:<b@example.com>\nS: 250\nC: RCPT TO:<c@example.com>\nS: 250\n"
	const data = rcpt + "C: DATA\nS: 354\nC: Subject: Lunch\nC:\nC: x\nC: .\n"
	for name, test := range map[string]struct {
		agent  smtpserver.Agent
		limits smtpserver.Limits
		talk   string
		want   []string
	}{
		"accepted":           {talk: data + "S: 250\n"},
		"syntax and unknown": {talk: begin + "C: MAIL\nS: 501\nC: XYZ\nS: 500\nC: RCPT TO:<b@example.com>\nS: 503\n"},
		"connect": {agent: smtpserver.Agent{Connect: func(context.Context, *smtpserver.Session) error { return smtpserver.Reject(554, "5.7.1", "No") }},
			talk: "S: 554\n", want: []string{"refused by agent: from <> to : 554"}},
		"MAIL": {agent: smtpserver.Agent{Mail: func(context.Context, *smtpserver.Session, string, *smtp.MailOptions) error { return refuse }},
			talk: begin + "C: MAIL FROM:<a@example.org>\nS: 550\n", want: []string{"refused by agent: from <a@example.org> to : 550"}},
		"size in MAIL": {limits: smtpserver.Limits{MessageSize: 1000},
			talk: begin + "C: MAIL FROM:<a@example.org> SIZE=2000\nS: 552\n", want: []string{"refused by server: from <a@example.org> to : 552"}},
		"one of two recipients": {agent: smtpserver.Agent{Rcpt: func(_ context.Context, _ *smtpserver.Session, to string, _ *smtp.RcptOptions) error {
			if to == "c@example.com" {
				return refuse
			}
			return nil
		}}, talk: strings.Replace(data, "c@example.com>\nS: 250", "c@example.com>\nS: 550", 1) + "S: 250\n", want: []string{"refused by agent: from <a@example.org> to c@example.com: 550"}},
		"a recipient too many": {limits: smtpserver.Limits{Recipients: 2},
			talk: rcpt + "C: RCPT TO:<d@example.com>\nS: 452\n", want: []string{"refused by server: from <a@example.org> to : 452"}},
		"DATA": {agent: smtpserver.Agent{Data: func(context.Context, *smtpserver.Session) error { return refuse }},
			talk: rcpt + "C: DATA\nS: 550\n", want: []string{"refused by agent: from <a@example.org> to b@example.com,c@example.com: 550"}},
		"end of headers": {agent: smtpserver.Agent{EndOfHeaders: func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return refuse }},
			talk: data + "S: 550\n", want: []string{"refused by agent: from <a@example.org> to b@example.com,c@example.com: 550, complete, subject Lunch"}},
		"end of data": {agent: smtpserver.Agent{EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error { return refuse }},
			talk: data + "S: 550\n", want: []string{"refused by agent: from <a@example.org> to b@example.com,c@example.com: 550, complete, subject Lunch"}},
		"discarded": {agent: smtpserver.Agent{EndOfData: func(context.Context, *smtpserver.Session, *smtpserver.Message) error {
			return smtpserver.ErrDiscard
		}}, talk: data + "S: 250\n", want: []string{"discarded by agent: from <a@example.org> to b@example.com,c@example.com, complete, subject Lunch"}},
		"discarded at MAIL": {agent: smtpserver.Agent{Mail: func(context.Context, *smtpserver.Session, string, *smtp.MailOptions) error {
			return smtpserver.ErrDiscard
		}}, talk: data + "S: 250\n", want: []string{"discarded by agent: from <a@example.org> to b@example.com,c@example.com, complete, subject Lunch"}},
		"quarantined, then refused": {agent: smtpserver.Agent{EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			s.Quarantined("spam@example.com", "b@example.com")
			return refuse
		}}, talk: data + "S: 550\n", want: []string{
			"quarantined by agent: from <a@example.org> to b@example.com at spam@example.com, complete, subject Lunch",
			"refused by agent: from <a@example.org> to b@example.com,c@example.com: 550, complete, subject Lunch"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := new(observed)
			test.agent.Name = "agent"
			srv := &smtpserver.Server{Agents: []smtpserver.Agent{test.agent}, Limits: test.limits, Observe: o.add,
				Handler: smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) { return "", nil })}
			end := "C: QUIT\nS: 221\n"
			smtptest.Talk(t, smtptest.NewServer(t, srv).Addr, test.talk+end)
			if got := o.texts(); !slices.Equal(got, test.want) {
				t.Errorf("%q\nwant %q", got, test.want)
			}
		})
	}
}

// With LMTP, each refused recipient is an action.
func TestObserveLMTP(t *testing.T) {
	o := new(observed)
	srv := &smtpserver.Server{LMTP: true, Observe: o.add,
		Handler: smtpserver.HandlerFunc(func(context.Context, *smtpserver.Session, *smtpserver.Message) (string, error) {
			return "", smtpserver.RecipientErrors{nil, smtpserver.Reject(552, "5.2.2", "Full")}
		})}
	smtptest.Talk(t, smtptest.NewServer(t, srv).Addr, "S: 220\nC: LHLO client.example\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\n"+
		"C: RCPT TO:<c@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: Lunch\nC:\nC: .\nS: 250\nS: 552\nC: QUIT\nS: 221\n")
	if want := []string{"refused by handler: from <a@example.org> to c@example.com: 552, complete"}; !slices.Equal(o.texts(), want) {
		t.Errorf("%q\nwant %q", o.texts(), want)
	}
}
