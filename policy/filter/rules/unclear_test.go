package rules_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
)

// A part with an invalid Content-Type is text/plain (RFC 2045, 5.2).
func TestBodyOfInvalidMediaType(t *testing.T) {
	for _, field := range []string{"", "Content-Type: text/plain\r\n", "Content-Type: text\r\n", "Content-Type: text; charset=us-ascii\r\n", "Content-Type: plain\r\n", "Content-Type: garbage; x\r\n", "Content-Type:\r\n"} {
		message := "From: a@example.com\r\n" + field + "Subject: x\r\n\r\nthe SECRETWORD\r\n"
		rs := &rules.Rules{List: []rules.Rule{{Name: "r", If: []rules.Condition{rules.Body("secretword")}, Then: []rules.Action{rules.Reject(550, "found")}}}}
		if text := agenttest.Refused(t, 550, "alice@example.com", to, message, rs.Agent()); !strings.Contains(text, "found") {
			t.Errorf("%q: %s", field, text)
		}
		got := apply(t, message, nil, rules.Disclaimer("First.", ""))
		if want := message + "\r\nFirst.\r\n"; got.Data != want {
			t.Errorf("%q: %q, want %q", field, got.Data, want)
		}
	}
}

// Text is searched in every charset that can be decoded, including UTF-7. If
// not even ASCII can be read, the message is refused.
func TestBodyInCharsets(t *testing.T) {
	for charset, c := range map[string]struct{ text, reply string }{
		"utf-8":       {"the SECRETWORD", "found"},
		"utf-7":       {"the S+AEUAQw-RETWORD", "found"},
		"UTF-16BE":    {"\x00S\x00E\x00C\x00R\x00E\x00T\x00W\x00O\x00R\x00D", "found"},
		"x-unknown":   {"the SECRETWORD", "found"},
		"iso-2022-kr": {"the SECRETWORD", "found"},
		"utf-32":      {"the letters", "5.6.0 Malformed message: ambiguous charset"},
		"IBM037":      {"\xe2\xc5\xc3\xd9\xc5\xe3", "5.6.0 Malformed message: ambiguous charset"},
	} {
		message := "From: a@example.com\r\nContent-Type: text/plain; charset=" + charset + "\r\nContent-Transfer-Encoding: base64\r\nSubject: x\r\n\r\n" +
			base64.StdEncoding.EncodeToString([]byte(c.text)) + "\r\n"
		rs := &rules.Rules{List: []rules.Rule{{Name: "r", If: []rules.Condition{rules.Body("secretword")}, Then: []rules.Action{rules.Reject(550, "found")}}}}
		if text := agenttest.Refused(t, 550, "alice@example.com", to, message, rs.Agent()); !strings.Contains(text, c.reply) {
			t.Errorf("%s: %s", charset, text)
		}
	}
}

// If other programs may find other text or other attachments, and the condition
// is not met here, the message is refused.
func TestUnclearMessages(t *testing.T) {
	const multi = "From: a@example.com\r\nContent-Type: multipart/mixed; boundary=b\r\nSubject: x\r\n\r\n--b\r\n\r\nsecret\r\n--b\r\n"
	for name, c := range map[string]struct {
		part       string
		body, name bool // this condition cannot be evaluated
	}{
		"folded type":        {"Content-Type\r\n : a/b; name=a.exe\r\n\r\nx\r\n", true, true},
		"folded encoding":    {"Content-Transfer-Encoding\r\n : base64\r\n\r\nx\r\n", true, true},
		"two boundaries":     {"Content-Type: multipart/mixed; boundary=c; boundary=d\r\n\r\nx\r\n", true, true},
		"unknown charset":    {"Content-Type: a/b; name=\"=?ibm037?q?=85?=\"\r\n\r\nx\r\n", true, true},
		"two encodings":      {"Content-Transfer-Encoding: base64\r\nContent-Transfer-Encoding: 8bit\r\n\r\nx\r\n", true, false},
		"unknown encoding":   {"Content-Type: a/b; name=x.txt\r\nContent-Transfer-Encoding: x-uue\r\n\r\nx\r\n", false, false},
		"folded other field": {"Content-Type: text/plain\r\nX-Other\r\n : x\r\n\r\nx\r\n", false, false},
	} {
		message := multi + c.part + "--b--\r\n"
		for condition, refused := range map[*rules.Condition]bool{
			ptr(rules.Body("absent")): c.body, ptr(rules.Attachment("*.zip")): c.name, ptr(rules.Subject("absent")): false, ptr(rules.Body("SECRET")): false,
		} {
			rs := &rules.Rules{List: []rules.Rule{{Name: "r", If: []rules.Condition{*condition}, Then: []rules.Action{rules.SetHeader("X-Held", "yes")}}}}
			if !refused {
				agenttest.Relay(t, "alice@example.com", to, message, rs.Agent())
				continue
			}
			if text := agenttest.Refused(t, 550, "alice@example.com", to, message, rs.Agent()); !strings.HasPrefix(text, "5.6.0 ") {
				t.Errorf("%s: %s", name, text)
			}
			rs.AllowAmbiguous = true
			if got := agenttest.Relay(t, "alice@example.com", to, message, rs.Agent()); got.Data != message {
				t.Errorf("%s: %q", name, got.Data)
			}
		}
		if got := apply(t, message, nil, rules.Disclaimer("First.", "")); !strings.Contains(got.Data, "First.") || !strings.Contains(got.Data, c.part) {
			t.Errorf("%s: %s", name, got.Data) // the disclaimer becomes a separate part
		}
	}
}

func ptr[T any](v T) *T { return &v }
