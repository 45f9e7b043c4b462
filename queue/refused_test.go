package queue_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/queue/dsn"
)

// A returnHost is a host on the return path. It has the extensions that the host
// lacks, and the reports that it has received.
type returnHost struct {
	no8bit, noUTF8 bool
	noTLS, halfTLS bool // refuses REQUIRETLS; refuses it unless the report has "TLS-Required: No"
	size           int64
	always         queue.Result // the reply to each report, if not zero

	tries int
	got   []*queue.Message
	text  string
}

func (b *returnHost) deliver(m *queue.Message, r *queue.Recipient) queue.Result {
	b.tries++
	var text strings.Builder
	m.Content.WriteTo(&text)
	eightBit := strings.ContainsFunc(text.String(), func(r rune) bool { return r > 127 })
	header, _, _ := strings.Cut(text.String(), "\r\n\r\n")
	local, _, _ := strings.Cut(r.Addr, "@")
	switch {
	case b.always.Reply.Code != 0:
		return b.always
	case m.Options.RequireTLS && (b.noTLS || b.halfTLS && !strings.Contains(header, "TLS-Required: No")):
		return says(550, smtp.EnhancedCode{5, 7, 30}, "REQUIRETLS support required")
	case b.noUTF8 && strings.ContainsFunc(local, func(r rune) bool { return r > 127 }):
		return says(553, smtp.EnhancedCode{5, 6, 7}, "address needs SMTPUTF8")
	case b.noUTF8 && (m.Options.UTF8 || strings.ContainsFunc(header, func(r rune) bool { return r > 127 })):
		return says(554, smtp.EnhancedCode{5, 6, 9}, "header needs SMTPUTF8")
	case b.no8bit && eightBit:
		return says(554, smtp.EnhancedCode{5, 6, 3}, "takes no 8-bit content")
	case b.size > 0 && m.Content.Size() > b.size:
		return says(552, smtp.EnhancedCode{5, 3, 4}, "too long")
	}
	if eightBit && m.Options.Body != smtp.Body8BitMIME {
		return says(554, smtp.EnhancedCode{5, 6, 0}, "8-bit content that was not declared")
	}
	b.got, b.text = append(b.got, m), text.String()
	return ok
}

const (
	utf8Body   = "From: alice@example.com\r\nSubject: Lunch\r\nMessage-ID: <1@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n"
	utf8Header = "From: alice@example.com\r\nSubject: Grüße\r\nMessage-ID: <1@example.com>\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nGrüße\r\n"
	latin1     = "From: alice@example.com\r\nSubject: Gr\xfc\xdfe\r\nMessage-ID: <1@example.com>\r\n\r\nHello\r\n"
	plainText  = "From: alice@example.com\r\nSubject: Lunch\r\nMessage-ID: <1@example.com>\r\n\r\nSecret\r\n"
)

// A report requires no extension that the host on the return path lacks. If
// necessary, it has less content.
func TestReportFormFitsReturnPath(t *testing.T) {
	declared := smtp.MailOptions{Body: smtp.Body8BitMIME}
	international := smtp.MailOptions{Body: smtp.Body8BitMIME, UTF8: true}
	protected := smtp.MailOptions{RequireTLS: true, Return: smtp.DSNReturnFull}
	const whole, header = "Content-Type: message/rfc822", "Content-Type: text/rfc822-headers"
	for _, test := range []struct {
		name     string
		back     returnHost
		from, to string
		options  smtp.MailOptions
		content  string
		want     smtp.MailOptions // of the report
		has      string
		hasNot   string
		tries    int
	}{
		{name: "8-bit body, 8BITMIME", options: declared, content: utf8Body, want: declared, has: "Grüße", tries: 1},
		{name: "8-bit body, no 8BITMIME", back: returnHost{no8bit: true}, options: declared, content: utf8Body, has: header, hasNot: "Grüße", tries: 2},
		{name: "undeclared 8-bit header, 8BITMIME", content: latin1, want: declared, has: whole, tries: 1},
		{name: "undeclared 8-bit header, no 8BITMIME", back: returnHost{no8bit: true}, content: latin1, has: "Subject: Gr=FC=DFe", tries: 2},
		{name: "8-bit header, only the header is wanted", back: returnHost{no8bit: true}, options: smtp.MailOptions{Return: smtp.DSNReturnHeaders}, content: latin1, has: "Subject: Gr=FC=DFe", tries: 1},
		{name: "UTF-8 header, SMTPUTF8", options: international, content: utf8Header, want: international, has: "message/global-delivery-status", tries: 1},
		{name: "UTF-8 header, no SMTPUTF8", back: returnHost{noUTF8: true}, options: international, content: utf8Header, has: "Subject: Gr=C3=BC=C3=9Fe", hasNot: "global", tries: 2},
		{name: "UTF-8 header, no SMTPUTF8 and no 8BITMIME", back: returnHost{noUTF8: true, no8bit: true}, options: international, content: utf8Header, has: "Subject: Gr=C3=BC=C3=9Fe", tries: 2},
		{name: "UTF-8 recipient", back: returnHost{noUTF8: true, no8bit: true}, to: "jörg@example.net", options: international, content: utf8Header, has: `Final-Recipient: utf-8; j\x{F6}rg@example.net`, tries: 2},
		{name: "SMTPUTF8 that is not used", back: returnHost{noUTF8: true}, options: international, content: utf8Body, want: declared, has: "Grüße", tries: 1},
		{name: "UTF-8 sender domain", back: returnHost{noUTF8: true, no8bit: true}, from: "alice@bücher.example", options: international, content: utf8Header, has: "To: <alice@xn--bcher-kva.example>", tries: 2},
		{name: "UTF-8 sender", from: "chloé@example.com", options: international, content: utf8Header, want: international, has: "To: <chloé@example.com>", tries: 1},
		{name: "UTF-8 sender, no SMTPUTF8", back: returnHost{noUTF8: true}, from: "chloé@example.com", options: international, content: utf8Header},
		{name: "size, whole original", content: strings.Replace(plainText, "Secret", strings.Repeat("Secret\r\n", 1000), 1), back: returnHost{size: 4000}, has: header, hasNot: "Secret", tries: 2},
		{name: "size, header too", content: strings.Repeat("X-Long: header\r\n", 800) + plainText, back: returnHost{size: 4000}, has: "Message-ID: <1@example.com>\r\n", hasNot: "X-Long", tries: 3},
		{name: "REQUIRETLS", options: protected, content: plainText, want: smtp.MailOptions{RequireTLS: true}, has: "Subject: Undeliverable: Lunch", hasNot: "Secret", tries: 1},
		{name: "REQUIRETLS, none on the way back", back: returnHost{noTLS: true}, options: protected, content: plainText, has: "\r\n\r\nMessage-ID: <1@example.com>\r\n", hasNot: "Lunch", tries: 3},
		{name: "REQUIRETLS, where it is offered", back: returnHost{halfTLS: true}, options: protected, content: plainText, want: smtp.MailOptions{RequireTLS: true}, has: "TLS-Required: No\r\n", hasNot: "Lunch", tries: 2},
		{name: "REQUIRETLS, no 8BITMIME", back: returnHost{no8bit: true}, options: smtp.MailOptions{RequireTLS: true, Body: smtp.Body8BitMIME}, content: utf8Header, want: smtp.MailOptions{RequireTLS: true}, has: "Subject: Gr=C3=BC=C3=9Fe", tries: 1},
		{name: "no such sender", back: returnHost{always: says(550, smtp.EnhancedCode{5, 1, 1}, "no such user")}, content: utf8Body},
		{name: "refused whatever its form", back: returnHost{always: says(554, smtp.EnhancedCode{5, 6, 0}, "never")}, content: utf8Body},
		{name: "too long whatever its form", back: returnHost{always: says(552, smtp.EnhancedCode{}, "never")}, content: utf8Body},
		{name: "BODY=8BITMIME is unknown", back: returnHost{no8bit: true, always: says(555, smtp.EnhancedCode{5, 5, 4}, "BODY?")}, content: utf8Body},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				w := newWorld(t, func(q *queue.Queue) { q.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
				back := &test.back
				w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
					if m.System {
						return back.deliver(m, r)
					}
					return says(550, smtp.EnhancedCode{5, 1, 1}, "no such user")
				}
				w.run()
				m := message(or(test.from, "alice@example.com"), or(test.to, "bob@example.net"))
				m.Options.MailOptions, m.Content = test.options, queue.String(test.content)
				if err := w.q.Submit(context.Background(), m); err != nil {
					t.Fatal(err)
				}
				w.after(time.Hour)
				w.shutdown()
				if test.tries == 0 {
					if len(back.got) != 0 || back.tries > 3 {
						t.Errorf("%d reports arrived, after %d attempts", len(back.got), back.tries)
					}
					if !strings.Contains(log.String(), `level=WARN msg="queue: report could not be delivered, kept as bad mail"`) || w.stored() != 1 {
						t.Errorf("%d messages stored, the log has no bad mail:\n%s", w.stored(), &log)
					}
					return
				}
				if len(back.got) != 1 || back.tries != test.tries || w.stored() != 0 {
					t.Fatalf("%d reports arrived after %d attempts, %d messages stored\n%s", len(back.got), back.tries, w.stored(), &log)
				}
				if o := back.got[0].Options.MailOptions; fmt.Sprint(o) != fmt.Sprint(test.want) {
					t.Errorf("options %+v, want %+v", o, test.want)
				}
				if !strings.Contains(back.text, test.has) || test.hasNot != "" && strings.Contains(back.text, test.hasNot) {
					t.Errorf("want %q and not %q in\n%s", test.has, test.hasNot, back.text)
				}
				r, err := dsn.Parse(strings.NewReader(back.text))
				if err != nil || len(r.Recipients) != 1 || r.Recipients[0].Final != or(test.to, "bob@example.net") || r.Recipients[0].Diagnostic != "550 5.1.1 no such user" {
					t.Errorf("%v: %+v", err, r)
				}
				if !strings.Contains(r.Text, "The mail server mx.example.net said") {
					t.Errorf("the text is lost: %s", r.Text)
				}
			})
		})
	}
}

// A report is sent again only to the recipients that have not received it, and
// by the route that an operator has set.
func TestReportCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(q *queue.Queue) {
			q.Reports.CopyTo = []string{"postmaster@example.org"}
			q.Hooks = []queue.Hook{{Name: "operator", Submitted: func(_ context.Context, m *queue.Message) error {
				if m.System && m.Recipients[0].Route == (queue.NextHop{}) {
					m.Recipients[0].Route = queue.NextHop{Connector: "chosen", Destination: "back.example"}
				}
				return nil
			}}}
		})
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			switch {
			case !m.System:
				return says(550, smtp.EnhancedCode{5, 1, 1}, "no")
			case m.Options.Body == smtp.Body8BitMIME && r.Addr == "alice@example.com":
				return says(554, smtp.EnhancedCode{5, 6, 3}, "no 8BITMIME")
			}
			return ok
		}
		w.run()
		defer w.shutdown()
		m := message("alice@example.com", "bob@example.net")
		m.Content = queue.String(utf8Body)
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range w.took()[1:] {
			got = append(got, fmt.Sprint(c.hop, c.rcpts))
		}
		// The copy is delivered once, the report twice.
		want := []string{"back.example[alice@example.com]", "example.org[postmaster@example.org]", "back.example[alice@example.com]"}
		for _, s := range want {
			found := false
			for i := range got {
				if got[i] == s {
					got, found = append(got[:i], got[i+1:]...), true
					break
				}
			}
			if !found {
				t.Errorf("lacks %s", s)
			}
		}
		if len(got) != 0 || w.stored() != 0 {
			t.Errorf("too many: %v; %d stored", got, w.stored())
		}
	})
}

// While the smaller form of a report cannot be stored, the report waits in its
// old form and is not lost.
func TestSmallerReportWithoutRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var roomy atomic.Bool
		w := newWorld(t, func(q *queue.Queue) {
			q.Hooks = []queue.Hook{{Name: "full", Submitted: func(_ context.Context, m *queue.Message) error {
				if m.System && m.Options.Body == "" && !roomy.Load() {
					return errors.New("no room")
				}
				return nil
			}}}
		})
		back := &returnHost{no8bit: true}
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if m.System {
				return back.deliver(m, r)
			}
			return says(550, smtp.EnhancedCode{5, 1, 1}, "no such user")
		}
		w.run()
		defer w.shutdown()
		m := message("alice@example.com", "bob@example.net")
		m.Content = queue.String(utf8Body)
		if err := w.q.Submit(context.Background(), m); err != nil {
			t.Fatal(err)
		}
		w.after(time.Hour)
		if len(back.got) != 0 || w.stored() != 1 {
			t.Fatalf("%d arrived, %d stored", len(back.got), w.stored())
		}
		roomy.Store(true)
		w.after(time.Hour)
		if len(back.got) != 1 || w.stored() != 0 {
			t.Errorf("%d arrived, %d stored", len(back.got), w.stored())
		}
	})
}

// No report is sent about a report, whatever return path a hook has set.
func TestNoReportAboutReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bad []*queue.Message
		w := newWorld(t, func(q *queue.Queue) {
			q.Hooks = []queue.Hook{{Name: "sender", Submitted: func(_ context.Context, m *queue.Message) error {
				if m.System {
					m.From = "bounces@example.com"
					m.Recipients[0].Options.Notify = nil
				}
				return nil
			}}}
			q.BadMail = func(_ context.Context, m *queue.Message) error {
				bad = append(bad, m)
				return nil
			}
			q.Reports.CopyTo = []string{"postmaster@example.org"}
		})
		w.deliver = func(hop queue.NextHop, m *queue.Message, r *queue.Recipient) queue.Result {
			if r.Addr == "postmaster@example.org" {
				return says(451, smtp.EnhancedCode{4, 2, 0}, "later") // until it expires
			}
			return says(550, smtp.EnhancedCode{5, 1, 1}, "no such user")
		}
		w.run()
		defer w.shutdown()
		w.submit("alice@example.com", "bob@example.net")
		w.after(7 * 24 * time.Hour)
		ids := map[string]bool{}
		for _, c := range w.took() {
			ids[c.id] = true
		}
		if len(ids) != 2 || len(bad) != 2 || w.stored() != 0 { // the message and its report; alice's part and the copy are bad mail
			t.Errorf("%d messages, %d times bad mail, %d stored", len(ids), len(bad), w.stored())
		}
	})
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}
