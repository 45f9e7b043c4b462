package graph

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// Graph delivers to exactly the recipients of the envelope, and the header shows the
// original fields.
func TestRecipients(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		to     string
		want   string // the recipients; "" means those of to
		lines  []string
		not    []string
	}{
		"as in the header": {"To: Bob <bob@example.net>, carol@example.net\r\nCc: dave@example.net\r\n", "bob@example.net carol@example.net dave@example.net", "",
			[]string{"To: Bob <bob@example.net>, carol@example.net\r\n", "Cc: dave@example.net\r\n"}, []string{"\r\nBcc:", "Old-"}},
		"Bcc": {"To: bob@example.net\r\n", "bob@example.net eve@example.net", "", []string{"To: bob@example.net\r\n", "Bcc: eve@example.net\r\n"}, nil},
		"Bcc in the header": {"To: bob@example.net\r\nBcc: eve@example.net, mallory@example.net\r\n", "bob@example.net eve@example.net", "",
			[]string{"Bcc: eve@example.net\r\n"}, []string{"mallory"}},
		"outside To and Cc": {"To: list@example.org\r\nCc: all@example.org\r\n", "bob@example.net", "",
			[]string{"Old-To: list@example.org\r\n", "Old-Cc: all@example.org\r\n", "Bcc: bob@example.net\r\n"}, []string{"\r\nTo:", "\r\nCc:"}},
		"after a partial delivery": {"To: bob@example.net, Carol <carol@example.net>\r\n", "carol@example.net", "",
			[]string{"Old-To: bob@example.net, Carol <carol@example.net>\r\n", "\r\nTo: carol@example.net\r\n"}, []string{"Bcc:"}},
		"another case":       {"To: BOB@Example.NET\r\n", "bob@example.net", "BOB@Example.NET", []string{"To: BOB@Example.NET\r\n"}, []string{"Bcc:"}},
		"group":              {"To: team: bob@example.net, carol@example.net;\r\n", "bob@example.net", "", []string{"Old-To: team:", "\r\nTo: bob@example.net\r\n"}, nil},
		"two fields":         {"To: bob@example.net\r\nTo: carol@example.net\r\n", "bob@example.net carol@example.net", "", []string{"Old-To: carol@example.net\r\n", "Bcc: carol@example.net\r\n"}, nil},
		"in To and Cc":       {"To: bob@example.net\r\nCc: bob@example.net\r\n", "bob@example.net", "bob@example.net bob@example.net", nil, []string{"Bcc:"}},
		"no address":         {"To: printer admins\r\n", "bob@example.net", "", []string{"Old-To: printer admins\r\n", "Bcc: bob@example.net\r\n"}, nil},
		"name is an address": {"To: eve@example.org <bob@example.net>\r\n", "bob@example.net", "", []string{"Old-To: eve@example.org <bob@example.net>\r\n"}, nil},
		"malformed":          {"To: bob@example.net <<x\r\n", "bob@example.net", "", []string{"Old-To: "}, nil},
		"resent": {"To: bob@example.net\r\nResent-To: eve@example.org\r\nResent-Bcc: mallory@example.org\r\n", "bob@example.net", "",
			[]string{"Old-Resent-To: eve@example.org\r\n"}, []string{"\r\nResent-", "mallory"}},
		"folded":          {"To: bob@example.net,\r\n carol@example.net\r\n", "carol@example.net bob@example.net", "bob@example.net carol@example.net", nil, []string{"Old-", "Bcc:"}},
		"no field at all": {"", "bob@example.net", "", []string{"Bcc: bob@example.net\r\n"}, []string{"\r\nTo:"}},
		"forged mark":     {"X-Bridgehead-Id: 1\r\nTo: bob@example.net\r\n", "bob@example.net", "", nil, []string{"X-Bridgehead-Id: 1\r\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGraph(t)
			j := job("From: scanner@contoso.com\r\n"+c.header+"Message-ID: <1@scanner>\r\n\r\nBody, To: body@example.org\r\n", strings.Fields(c.to)...)
			if got := deliver(t, g.transport(), j); got != "success 250 2.0.0" {
				t.Fatalf("the result is %s", got)
			}
			if got := g.received(); got != or(c.want, c.to) && !(c.want == "" && got == c.to) {
				t.Errorf("received by %q, want %q", got, or(c.want, c.to))
			}
			text := g.texts[0]
			for _, line := range c.lines {
				if !strings.Contains(text, line) {
					t.Errorf("the message has no %q: %q", line, text)
				}
			}
			for _, line := range c.not {
				if strings.Contains(text, line) {
					t.Errorf("the message has %q: %q", line, text)
				}
			}
			if !strings.HasSuffix(text, "\r\n\r\nBody, To: body@example.org\r\n") {
				t.Errorf("the body is another one: %q", text)
			}
		})
	}
}

// More recipients than a request may have are sent in several requests, and each
// recipient gets one copy. The queue learns of each part at once.
func TestSplit(t *testing.T) {
	g := newGraph(t)
	tr, j := g.transport(), job(letter, "bob@example.net", "carol@example.net", "dave@example.net")
	tr.MaxRecipients = 2
	reported := 0
	ctx := queue.WithProgress(t.Context(), func(rcpts []*queue.Recipient, _ []queue.Result) { reported += len(rcpts) })
	for _, r := range tr.Deliver(ctx, j) {
		if r.Outcome != queue.Success {
			t.Errorf("the result is %v", r)
		}
	}
	if got := g.received(); got != "bob@example.net carol@example.net; dave@example.net" || reported != 2 {
		t.Errorf("received by %s, %d reported", got, reported)
	}
}

// If Graph refuses one address, the others get the message.
func TestInvalidRecipient(t *testing.T) {
	bad := step{status: 400, code: "ErrorInvalidRecipients"}
	ok := step{status: 202, send: true}
	g := newGraph(t, bad, ok, bad, ok, bad) // abcd, ab, cd, c, d
	j := job(letter, "a@example.net", "b@example.net", "c@example.net", "d@example.net")
	if got := deliver(t, g.transport(), j); got != "success 250 2.0.0; failure 550 5.1.3" || j.Recipients[2].Last.Outcome != queue.Success {
		t.Errorf("the result is %s", got)
	}
	if got := g.received(); got != "a@example.net b@example.net; c@example.net" {
		t.Errorf("received by %s", got)
	}
}

// Messages that are not as they should be.
func TestOddMessages(t *testing.T) {
	for name, text := range map[string]string{
		"only a body": "hello", "empty": "", "only a header": "Subject: x", "no blank line": "Subject: x\r\nhello\r\n", "no header": "\r\nhello\r\n",
		"two Message-IDs": "Message-ID: x\r\nMessage-ID: <1@scanner>\r\nMessage-ID: <2@scanner>\r\n\r\n", "mailbox line": "From bob\r\nSubject: x\r\n\r\n",
	} {
		g := newGraph(t, step{status: 504, send: true})
		if got := deliver(t, g.transport(), job(text, "bob@example.net")); got != "success 250 2.0.0" || g.received() != "bob@example.net" {
			t.Errorf("%s: the result is %s, received by %s: %q", name, got, g.received(), g.texts)
		}
	}
	g := newGraph(t)
	if got := deliver(t, g.transport(), job(letter, "bob@example.net\r\nBcc: eve@example.org")); got != "failure 550 5.1.3" {
		t.Errorf("an address with a line end: %s", got)
	}
	j := job(letter, "bob@example.net")
	j.Message.Content = damaged{}
	r := g.transport().Deliver(t.Context(), j)
	if r[0].Outcome != queue.Deferred || !errors.Is(r[0].Err, queue.ErrDamaged) {
		t.Errorf("a damaged message: %v", r[0])
	}
	if posts, _ := g.counts(); posts != 0 {
		t.Errorf("%d requests", posts)
	}
}

// damaged is a content that cannot be read.
type damaged struct{}

func (damaged) ReadAt([]byte, int64) (int, error) { return 0, queue.ErrDamaged }
func (damaged) Size() int64                       { return 10 }
func (damaged) WriteTo(io.Writer) (int64, error)  { return 0, queue.ErrDamaged }
