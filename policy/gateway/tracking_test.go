package gateway_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bridgehead-mail/bridgehead/queue/tracking"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

// The tracking log has the mail that the relay refuses, discards and quarantines, and
// the refusals that are counted at the end.
func TestTrackingOfRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, dir := newRelay(t), t.TempDir()
		r.Tracking = &tracking.Log{Dir: dir}
		srv := r.Listeners[0].Server
		srv.Agents = append(srv.Agents, smtpserver.Agent{Name: "filter", EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			switch m.Header.Get("Subject") {
			case "virus":
				return smtpserver.Reject(550, "5.7.1", "Virus found")
			case "spam":
				return smtpserver.ErrDiscard
			case "odd":
				s.Quarantined("quarantine@example.com", m.Recipients[0].Addr)
			}
			return nil
		}})
		stop := r.run(t)
		for _, one := range [][2]string{{"virus", "550"}, {"spam", "250"}, {"odd", "250"}} {
			smtptest.TalkOn(t, r.dial(t), "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\n"+
				"C: Subject: "+one[0]+"\nC:\nC: .\nS: "+one[1]+"\nC: QUIT\nS: 221\n").Close()
			synctest.Wait()
		}
		smtptest.TalkOn(t, r.dial(t), "S: 220\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\n"+
			strings.Repeat("C: RCPT TO:<x@elsewhere.example>\nS: 550\n", 13)+"C: QUIT\nS: 221\n").Close()
		synctest.Wait()
		if err := stop(); err != nil {
			t.Error(err)
		}
		var got []string
		for e, err := range tracking.Search(dir, tracking.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			c := e.Columns
			if e.Event == "SEND" || e.Event == "RECEIVE" {
				continue
			}
			if c["client-hostname"] != "client.example" || c["server-hostname"] != "relay.example.com" {
				t.Errorf("%+v", c)
			}
			got = append(got, strings.Join([]string{e.Event, c["source"], c["source-context"], e.Sender, strings.Join(e.Recipients, ";"), c["recipient-status"],
				c["message-subject"], c["message-info"], c["related-recipient-address"]}, ","))
		}
		refused := "REJECT,SMTP,relay,a@example.org,x@elsewhere.example,550 5.7.1 Unable to relay,,event=1040,"
		want := []string{
			"REJECT,SMTP,filter,a@example.org,b@example.com,550 5.7.1 Virus found,virus,event=1040,",
			"DROP,AGENT,filter,a@example.org,b@example.com,,spam,event=1039,",
			"QUARANTINE,AGENT,filter,a@example.org,b@example.com,,odd,event=1041,quarantine@example.com",
		}
		want = append(want, slices.Repeat([]string{refused}, 10)...)
		want = append(want, "REJECT,SMTP,relay,,,550 5.7.1 Unable to relay,,count=3,")
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	})
}
