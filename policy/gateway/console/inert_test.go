package console

import (
	"io/fs"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/bridgehead-mail/bridgehead/queue"
	"github.com/bridgehead-mail/bridgehead/smtpserver/smtptest"
)

func TestInert(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"", ""},
		{"Lunch at <noon> & more", "Lunch at <noon> & more"}, // html/template escapes markup
		{"Grüße, 用户 😀", "Grüße, 用户 😀"},
		{"a\r\nb\tc\x00\x1b[31m\x7f", `a\x0D\x0Ab\x09c\x00\x1B[31m\x7F`},
		{"\u202etxt.exe\u202c \u2066x\u2069 \u061c", `\u202Etxt.exe\u202C \u2066x\u2069 \u061C`},
		{"\u0085\u009b31m", `\u0085\u009B31m`},
		{"a\u2028b\u2029c", `a\u2028b\u2029c`},
		{"pay\u200bpal \ufeff\u00ad\u2060", `pay\u200Bpal \uFEFF\u00AD\u2060`},
		{"\u3164\u115f\ufe0f", `\u3164\u115F\uFE0F`},
		{"\xff\xfe caf\xe9", `\xFF\xFE caf\xE9`},
		{"\U000e0041\U000f0000", `\U000E0041\U000F0000`},
		{"e\u0301", "e\u0301"},
		{"z" + strings.Repeat("\u0335", 6), "z" + strings.Repeat("\u0335", 4) + `\u0335\u0335`},
		{strings.Repeat("x", maxText), strings.Repeat("x", maxText)},
		{strings.Repeat("x", maxText+1), strings.Repeat("x", maxText) + "…"},
		{strings.Repeat("ü", 5*maxText), strings.Repeat("ü", maxText) + "…"},
	} {
		if got := inert(test.text); got != test.want {
			t.Errorf("%.40q: %.80q, want %.80q", test.text, got, test.want)
		}
	}
}

func FuzzInert(f *testing.F) {
	for _, s := range []string{"", "Lunch", "\u202e\x00\xff", "a\u0301\u0301\u0301\u0301\u0301\u0301", strings.Repeat("ü", 1001)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := inert(s)
		if !utf8.ValidString(got) || hostile.MatchString(got) {
			t.Errorf("%q is shown as %q", s, got)
		}
		if n := utf8.RuneCountInString(got); n > 10*maxText+1 {
			t.Errorf("%d characters", n)
		}
	})
}

// hostile matches what must not be on a page: control characters, and characters
// that are not visible or change the direction of text.
var hostile = regexp.MustCompile(`[\x00-\x08\x0b-\x1f\x7f\x{80}-\x{9f}\x{ad}\x{61c}\x{200b}-\x{200f}\x{2028}-\x{202e}\x{2060}-\x{206f}\x{feff}\x{fffd}\x{e0000}-\x{e007f}]`)

// nasty is a text from a stranger.
const nasty = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202etxt.exe\u2066\u200b\x1b[31m\u009b\u2028 caf\xe9 {{.}}"

// Text from strangers is inert on each page: in lists, details, confirmations,
// messages about errors, and in the audit log.
func TestUntrustedTextIsInertOnEachPage(t *testing.T) {
	inWorld(t, &Console{}, func(w *world) {
		defer w.track(t.TempDir())()
		m := mail("bob@" + nastyHop)
		m.Content = queue.String("Received: from " + oneLine(nasty) + " by " + oneLine(nasty) + " with SMTP; Sat, 28 Nov 2026 22:00:00 +0000\r\nSubject: " + oneLine(nasty) + "\r\nMessage-ID: <" + oneLine(nasty) + ">\r\n\r\nHello\r\n")
		m.Origin = queue.Origin{Connector: nasty, ClientAddr: nasty, ClientHelo: nasty, Identity: nasty, Protocol: nasty}
		m.Recipients[0].Route = queue.NextHop{Connector: nasty, Destination: nastyHop}
		w.submit(m)
		aside := mail("carol@" + nastyHop)
		aside.Content = m.Content
		aside.Origin = m.Origin
		w.submit(aside)
		w.post("/messages/suspend", 200, form("id", aside.ID, "confirm", "yes", "reason", nasty), nil)
		key := keyOf(queue.NextHop{Connector: nasty, Destination: nastyHop})
		w.post("/queues/suspend", 200, form("queue", key, "confirm", "yes", "reason", nasty), nil)
		client := smtptest.TalkOn(t, w.dial("192.0.2.7:1025"), "S: 220\nC: NOOP "+oneLine(nasty)+"\nS: 500\nC: EHLO "+oneLine(nasty)+"\nS: 500\nC: EHLO client.example\nS: 250\nC: MAIL FROM:<\"<img src=x onerror=alert(2)>\"@example.com>\nS: 250\n")
		defer client.Close()
		session := w.console.Gateway.LiveSessions().Sessions()[0].ID
		time.Sleep(time.Second) // the tracking log is written
		q := url.QueryEscape(nasty)
		pages := map[string]string{}
		for _, path := range []string{
			"/", "/queues", "/queues?destination=" + q + "&connector=" + q, "/queues?sort=" + q, "/queues/" + url.PathEscape(key),
			"/suspensions", "/age", "/age?queue=" + url.QueryEscape(key), "/age?by=" + q, "/messages", "/messages?sender=" + q + "&subject=" + q + "&label=" + q + "=" + q, "/messages?status=" + q,
			"/messages/" + m.ID, "/messages/" + aside.ID, "/messages/" + url.PathEscape(nasty), "/bad", "/audit", "/" + url.PathEscape(nasty), "/queues?" + q + "=1", "/queues?done=" + q,
			"/tracking", "/tracking?sender=" + q + "&event=" + q, "/tracking?since=" + q, "/tracking?cursor=" + q, "/tracking/" + m.ID, "/tracking/" + url.PathEscape(nasty),
			"/sessions", "/sessions?address=" + q, "/sessions?state=" + q, "/sessions?side=" + q, "/sessions?connector=" + q, "/sessions?after=" + q,
			"/sessions/dialogue", "/sessions/dialogue?side=in&id=" + session, "/sessions/dialogue?id=" + q, "/sessions/dialogue?network=" + q, "/sessions/dialogue?connector=" + q, "/loglevels", "/blocks", "/blocks?address=" + q,
			"/tracing",
		} {
			r := httpGet(path)
			r.Header.Set("Accept", "text/html")
			pages[path] = w.do(r).Body.String()
		}
		for path, f := range map[string]url.Values{
			"/queues/remove":    form("queue", key),
			"/queues/redirect":  form("queue", key, "to-destination", nasty, "reason", nasty),
			"/messages/remove":  form("id", m.ID, "sender", nasty, "subject", nasty),
			"/messages/suspend": form("sender", nasty, "subject", nasty),
			"/messages/resume":  form(nasty, nasty),
			"/sessions/end":     form("side", "in", "id", session, "reason", nasty),
			"/loglevels":        form("part", nasty, "level", nasty),
			"/blocks/unblock":   form("address", nasty),
			"/pause":            form("what", nasty),
			"/tracing":          form("sender", nasty, "duration", nasty),
		} {
			pages["POST "+path] = w.sendPage(path, f).Body.String()
		}
		synctest.Wait()
		shown := 0
		for path, page := range pages {
			page, values := withoutValues(page)
			shown += strings.Count(page, `\u202Etxt.exe`)
			for _, bad := range []string{"<script>alert", "<img", "onerror=alert(2)>"} {
				if strings.Contains(page, bad) || strings.Contains(values, bad) {
					t.Errorf("%s has markup of a stranger: %s", path, bad)
				}
			}
			if at := hostile.FindStringIndex(page); at != nil {
				t.Errorf("%s has %q", path, page[max(0, at[0]-60):at[1]])
			}
			if !utf8.ValidString(page) {
				t.Errorf("%s is not UTF-8", path)
			}
		}
		if shown < 30 {
			t.Errorf("the text is shown only %d times: does the test work?", shown)
		}
	})
}

// nastyHop is a domain that cannot be reached.
const nastyHop = "down.example"

// oneLine removes what cannot be in a header field.
func oneLine(s string) string { return strings.NewReplacer("\r", "", "\n", "", "\x00", "").Replace(s) }

var values = regexp.MustCompile(` value="[^"]*"`)

// withoutValues removes the values of form fields: they must not change, and a
// browser does not show hidden ones.
func withoutValues(page string) (rest, all string) {
	return values.ReplaceAllString(page, ""), strings.Join(values.FindAllString(page, -1), "\n")
}

// Each value of each template becomes inert, also in a template that is added
// later.
func TestTemplatesAreInert(t *testing.T) {
	entries, err := fs.ReadDir(files, "templates")
	if err != nil {
		t.Fatal(err)
	}
	all := newTemplates()
	if len(all.byName) != len(entries)-2 {
		t.Errorf("%d templates of %d", len(all.byName), len(entries)-2)
	}
	for name, one := range all.byName {
		for _, part := range one.Templates() {
			if part.Tree == nil {
				continue
			}
			text := part.Tree.Root.String()
			for _, action := range regexp.MustCompile(`\{\{[^}]*\}\}`).FindAllString(text, -1) {
				word, _, _ := strings.Cut(strings.Trim(action, "{}"), " ")
				switch word {
				case "if", "else", "end", "range", "with", "template", "define", "block":
					continue
				}
				if !strings.Contains(action, "| inert") && !strings.Contains(action, ":=") {
					t.Errorf("%s: %s", name, action)
				}
			}
		}
	}
}
