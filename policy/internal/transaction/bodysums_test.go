package transaction_test

import (
	"context"
	"io"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/internal/content"
	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/internal/transaction"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// The hash of a body is computed once for each form. It is computed again if an
// agent has replaced the body, and each time for content of another type, which
// may change.
func TestBodySum(t *testing.T) {
	sum := func(form dkimsig.Canon, text string) string {
		hash := dkimsig.NewBodyHash(form)
		io.WriteString(hash, text)
		return string(hash.Sum())
	}
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{{
		Name: "hashes",
		EndOfData: func(_ context.Context, s *smtpserver.Session, m *smtpserver.Message) error {
			check := func(form dkimsig.Canon, want string) {
				t.Helper()
				for range 2 {
					if got, err := transaction.BodySum(s, m, form); err != nil || string(got) != want {
						t.Errorf("%v: %x, %v, want %x", form, got, err, want)
					}
				}
			}
			check(dkimsig.Relaxed, sum(dkimsig.Relaxed, "a  b\r\n"))
			check(dkimsig.Simple, sum(dkimsig.Simple, "a  b\r\n"))
			transaction.SetBodySum(s, m, dkimsig.Relaxed, []byte("known"))
			check(dkimsig.Relaxed, "known")
			check(dkimsig.Simple, sum(dkimsig.Simple, "a  b\r\n"))
			m.Body = content.Of([]byte("c\r\n"))
			check(dkimsig.Relaxed, sum(dkimsig.Relaxed, "c\r\n"))
			m.Body = otherContent{strings.NewReader("d\r\n")}
			transaction.SetBodySum(s, m, dkimsig.Relaxed, []byte("of what it was"))
			check(dkimsig.Relaxed, sum(dkimsig.Relaxed, "d\r\n"))
			m.Body = nil
			check(dkimsig.Relaxed, sum(dkimsig.Relaxed, ""))
			return nil
		},
	}}})
	srv.Talk(t, "192.0.2.1", "S: 220\nC: EHLO x\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\nC: Subject: s\nC: \nC: a  b\nC: .\nS: 250\nC: QUIT\nS: 221\n")
}

// otherContent is content of another type.
type otherContent struct{ *strings.Reader }

func (c otherContent) WriteTo(w io.Writer) (int64, error) {
	return io.Copy(w, io.NewSectionReader(c.Reader, 0, c.Size()))
}
