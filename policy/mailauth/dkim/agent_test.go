package dkim

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/internal/dkimsig"
	"github.com/bridgehead-mail/bridgehead/policy/policytest"
	"github.com/bridgehead-mail/bridgehead/smtpserver"
)

// One server signs the messages of its users. Another server verifies exactly the
// bytes that the first one has received.
func TestAgents(t *testing.T) {
	keys := []Key{{Domain: "example.org", Selector: "rsa", Private: rsaKey()}, {Domain: "example.org", Selector: "ed", Private: edKey()}}
	signer := &Signer{Keys: Keys(keys...)}
	out := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{
		{Name: "login", Helo: func(_ context.Context, s *smtpserver.Session, _ string) error {
			if s.Helo() == "user.example" {
				s.SetIdentity("alice")
			}
			return nil
		}},
		signer.Agent(),
	}})
	var found *Verdict
	verifier, _ := newVerifier(t, zoneOf(t, nil, keys...))
	in := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{
		verifier.Agent(),
		{Name: "witness", EndOfData: func(_ context.Context, s *smtpserver.Session, _ *smtpserver.Message) error {
			found = VerdictOf(s)
			return nil
		}},
	}})
	for _, c := range []struct {
		helo, from string
		want       Result
		signatures int
	}{
		{"user.example", "From: Alice <alice@Sub.Example.ORG>", Pass, 2},
		{"user.example", "From: alice@other.example", None, 0},
		{"user.example", "X-From: none", None, 0},
		{"stranger.example", "From: alice@example.org", None, 0},
	} {
		submit(t, out, c.helo, c.from+"\r\nSubject: hi\r\nDate: Sat, 21 Nov 2026 20:41:31 +0000\r\n\r\nHello \r\n")
		submit(t, in, "mx.example", out.Inbox.Next(t).Text)
		if found == nil || found.Result() != c.want || len(found.Signatures) != c.signatures {
			t.Errorf("%s, %s: %+v, want %d that %s", c.helo, c.from, found, c.signatures, c.want)
		}
		in.Inbox.Next(t)
	}
}

// A message that exceeds the limits of signing is refused permanently, before it
// is enqueued.
func TestAgentRefusesTooManyFields(t *testing.T) {
	signer := &Signer{Keys: Keys(Key{Domain: "example.org", Selector: "s1", Private: edKey()}), When: func(*smtpserver.Session, *smtpserver.Message) bool { return true }}
	srv := policytest.New(t, &smtpserver.Server{Agents: []smtpserver.Agent{signer.Agent()}})
	srv.Talk(t, "192.0.2.1", "S: 220\nC: EHLO user.example\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\n"+
		"C: From: a@example.org\n"+strings.Repeat("C: Reply-To: a@example.org\n", maxSigned)+"C: \nC: .\nS: 554 5.6.0 The message cannot be signed: it has 10\nC: QUIT\nS: 221\n")
}

// pieces is a body that records the sizes of the reads.
type pieces struct {
	*strings.Reader
	most int
}

func (p *pieces) ReadAt(b []byte, off int64) (int, error) {
	p.most = max(p.most, len(b))
	return p.Reader.ReadAt(b, off)
}

func (p *pieces) WriteTo(io.Writer) (int64, error) { panic("all at once") }

// A body on disk is read in pieces, never as a whole.
func TestBodyIsRead(t *testing.T) {
	keys := []Key{{Domain: "example.org", Selector: "rsa", Private: rsaKey()}, {Domain: "example.org", Selector: "ed", Private: edKey()}}
	v, _ := newVerifier(t, zoneOf(t, nil, keys...))
	text := strings.Repeat("Twenty letters or so\r\n", 100_000)
	body := &pieces{Reader: strings.NewReader(text)}
	m := &smtpserver.Message{Body: body}
	from := [][]byte{[]byte("From: a@example.org\r\n")}
	signed, err := (&Signer{Keys: Keys(keys...)}).sign(t.Context(), "example.org", dkimsig.NewHeader(from), bodyOf(m))
	if err != nil {
		t.Fatal(err)
	}
	fields, err := dkimsig.ReadFields(bufio.NewReader(strings.NewReader(signed + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	verdict, sums, err := v.verify(t.Context(), append(fields, from...), bodyOf(m))
	if hash := dkimsig.NewBodyHash(dkimsig.Relaxed); true {
		hash.Write([]byte(text))
		if !bytes.Equal(sums[dkimsig.Relaxed], hash.Sum()) || sums[dkimsig.Simple] != nil {
			t.Errorf("hashes of the body: %x", sums)
		}
	}
	if err != nil || len(verdict.Signatures) != 2 || verdict.Signatures[0].Result != Pass || verdict.Signatures[1].Result != Pass {
		t.Errorf("%+v, %v", verdict, err)
	}
	if body.most > 64<<10 {
		t.Errorf("%d octets at once", body.most)
	}
	if _, err := io.ReadAll(bodyOf(&smtpserver.Message{}).body); err != nil {
		t.Errorf("no body: %v", err)
	}
}

// submit sends a short message.
func submit(t *testing.T, srv *policytest.Server, helo, message string) {
	t.Helper()
	var script strings.Builder
	script.WriteString("S: 220\nC: EHLO " + helo + "\nS: 250\nC: MAIL FROM:<a@example.org>\nS: 250\nC: RCPT TO:<b@example.com>\nS: 250\nC: DATA\nS: 354\n")
	for line := range strings.SplitSeq(strings.TrimSuffix(message, "\r\n"), "\r\n") {
		script.WriteString("R: " + strconv.Quote(line+"\r\n") + "\n")
	}
	script.WriteString("C: .\nS: 250\nC: QUIT\nS: 221\n")
	srv.Talk(t, "192.0.2.1", script.String())
}
