package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// A printer separates the output of several goroutines: while a session is
// printed, it delays all other output.
type printer struct {
	w io.Writer

	mu        sync.Mutex   // guards all fields
	inSession bool         // a session is printed
	delayed   bytes.Buffer // output for the end of the session
}

// beginSession delays all output but the session's until endSession.
func (p *printer) beginSession() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inSession = true
}

// endSession prints the delayed output.
func (p *printer) endSession() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inSession = false
	p.delayed.WriteTo(p.w)
}

// other returns the writer for output that does not belong to a session. The
// caller holds mu.
func (p *printer) other() io.Writer {
	if p.inSession {
		return &p.delayed
	}
	return p.w
}

// title prints a heading.
func (p *printer) title(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.w, "\n%s\n%s\n", s, strings.Repeat("─", len([]rune(s))))
}

// line prints each line of text after a mark.
func (p *printer) line(mark, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		fmt.Fprintf(p.w, "  %s%s\n", mark, l)
	}
}

// reply prints a server's reply. It joins the lines of a long reply, as the one
// to EHLO.
func (p *printer) reply(lines []string) {
	const width = 100
	p.line("S: ", lines[0])
	row := ""
	for _, l := range lines[1:] {
		if row != "" && len(row)+len(l) > width {
			p.line("S: ", row)
			row = ""
		}
		if row != "" {
			row += "  "
		}
		row += l
	}
	if row != "" {
		p.line("S: ", row)
	}
}

// note prints a paragraph.
func (p *printer) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.other(), format+"\n", args...)
}

// received prints a message that a mail server has received.
func (p *printer) received(who, from string, to []string, text string) {
	const most = 16 << 10
	cut := ""
	if len(text) > most {
		cut = fmt.Sprintf("\n… and %d bytes more", len(text)-most)
		text = text[:most]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.other()
	fmt.Fprintf(w, "\n  ┌ %s received: from <%s> to <%s>\n", who, from, strings.Join(to, ">, <"))
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for l := range strings.SplitSeq(text+cut, "\n") {
		fmt.Fprintf(w, "  │ %s\n", l)
	}
	fmt.Fprintf(w, "  └\n")
}
