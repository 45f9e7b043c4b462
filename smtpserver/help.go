package smtpserver

import (
	"strings"

	"github.com/emersion/go-smtp"
)

// cmdHELP lists the commands that the session offers, or gives the syntax of one
// of them (RFC 5321, 4.1.1.8). A command that the client may not use now, such as
// STARTTLS under TLS, is not listed: HELP and the EHLO reply agree.
func (s *Session) cmdHELP(arg string) error {
	if done, err := s.askCommand("HELP", arg); done {
		return err
	}
	offered := s.offered()
	if arg == "" {
		s.reply(214, smtp.EnhancedCode{2, 0, 0}, "Commands:\n"+listVerbs(offered)+"\nSend HELP and a command for its syntax")
		return nil
	}
	verb, _ := nextWord(arg)
	if syntax := syntaxOf(offered, verb); syntax != "" {
		s.reply(214, smtp.EnhancedCode{2, 0, 0}, "Syntax: "+syntax)
		return nil
	}
	return s.protocolError(504, smtp.EnhancedCode{5, 5, 4}, "No help for this command: send HELP for a list") // RFC 5321, 4.2.4
}

// offered returns the syntax of each command that the session offers: first
// those of the server in the order of a session, then those of the agents.
func (s *Session) offered() []string {
	var list []string
	for _, h := range helpLines {
		if (h.open || !s.mustStartTLS()) && (h.when == nil || h.when(s)) {
			list = append(list, h.syntax)
		}
	}
	if s.mustStartTLS() {
		return list
	}
	for i := range s.srv.Agents {
		if a := &s.srv.Agents[i]; a.Help != nil {
			list = addSyntax(list, a.Help(s))
		}
	}
	return list
}

// addSyntax adds the lines of an agent, except those for commands that are
// already in the list.
func addSyntax(list, lines []string) []string {
	for _, l := range lines {
		if verb, _ := nextWord(l); syntaxOf(list, verb) == "" {
			list = append(list, l)
		}
	}
	return list
}

// syntaxOf returns the line of a command, or "".
func syntaxOf(list []string, verb string) string {
	for _, l := range list {
		if v, _ := nextWord(l); strings.EqualFold(v, verb) {
			return l
		}
	}
	return ""
}

// A helpLine is the syntax of one command, and when the session offers it.
type helpLine struct {
	syntax string
	open   bool                  // before STARTTLS with TLSRequired
	when   func(s *Session) bool // nil means always
}

// helpLines has every command that the server implements.
var helpLines = []helpLine{
	{"EHLO domain", true, func(s *Session) bool { return !s.srv.LMTP }},
	{"HELO domain", true, func(s *Session) bool { return !s.srv.LMTP }},
	{"LHLO domain", true, func(s *Session) bool { return s.srv.LMTP }},
	{"STARTTLS", true, (*Session).canStartTLS},
	{"AUTH mechanism [initial-response]", false, func(s *Session) bool { return s.identity == "" && len(s.mechanisms()) > 0 }},
	{"MAIL FROM:<address> [parameter=value ...]", false, nil},
	{"RCPT TO:<address> [parameter=value ...]", false, nil},
	{"DATA", false, nil},
	{"BDAT size [LAST]", false, func(s *Session) bool { return s.srv.has(ExtChunking) }},
	{"RSET", false, nil},
	{"NOOP", true, nil},
	{"QUIT", true, nil},
	{"VRFY address", false, func(s *Session) bool { return s.srv.has(ExtVrfy) }},
	{"EXPN list", false, func(s *Session) bool { return s.srv.has(ExtExpn) }},
	{"HELP [command]", true, nil},
	{"XCLIENT attribute=value ...", false, (*Session).mayXClient},
}

// listVerbs returns the first words of the lines, as many to a line as fit on a
// terminal.
func listVerbs(syntax []string) string {
	const width = 60
	var b strings.Builder
	line := 0
	for _, l := range syntax {
		verb, _ := nextWord(l)
		switch {
		case line == 0:
		case line+1+len(verb) > width:
			b.WriteByte('\n')
			line = 0
		default:
			b.WriteByte(' ')
			line++
		}
		b.WriteString(verb)
		line += len(verb)
	}
	return b.String()
}
