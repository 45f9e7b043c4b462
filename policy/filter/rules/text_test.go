package rules_test

import (
	"strings"
	"testing"

	"github.com/bridgehead-mail/bridgehead/policy/filter/rules"
	"github.com/bridgehead-mail/bridgehead/policy/internal/agenttest"
)

// A condition of the application reads the text as the conditions of this
// package do: decoded and in UTF-8.
func TestTextForOwnConditions(t *testing.T) {
	var text string
	read := rules.Func(func(m *rules.Mail) (ok bool, err error) {
		text, err = m.Text()
		return true, err
	})
	rs := &rules.Rules{List: []rules.Rule{{Name: "read", If: []rules.Condition{read}, Then: []rules.Action{rules.PrependSubject("[READ] ")}}}}
	agenttest.Relay(t, "alice@example.com", []string{"bob@example.com"}, "Subject: x\r\nMIME-Version: 1.0\r\n"+
		"Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe\r\n", rs.Agent())
	if strings.TrimSpace(text) != "Grüße" {
		t.Errorf("the text is %q", text)
	}
}
