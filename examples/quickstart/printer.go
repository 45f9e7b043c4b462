package main

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
)

// A printer keeps what several goroutines have to tell apart.
type printer struct {
	w io.Writer

	mu   sync.Mutex // guards w and what follows
	held bool       // a session is being printed: notes wait for its end
	late bytes.Buffer
}

// hold begins a session: nothing else is printed until release.
func (p *printer) hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = true
}

func (p *printer) release() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = false
	p.late.WriteTo(p.w)
}

// aside is where notes go: behind the session that is being printed.
func (p *printer) aside() io.Writer {
	if p.held {
		return &p.late
	}
	return p.w
}

// title begins a chapter.
func (p *printer) title(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := fmt.Sprintf(format, args...)
	fmt.Fprintf(p.w, "\n%s\n%s\n", s, strings.Repeat("─", len([]rune(s))))
}

// line prints text behind a mark, each of its lines indented alike.
func (p *printer) line(mark, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range strings.SplitSeq(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		fmt.Fprintf(p.w, "  %s%s\n", mark, l)
	}
}

// reply prints a server's reply; a long one, as to EHLO, with many lines on
// one.
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
	fmt.Fprintf(p.aside(), format+"\n", args...)
}

// received prints what a stand-in got, in one piece.
func (p *printer) received(who, from string, to []string, text string) {
	const most = 16 << 10
	cut := ""
	if len(text) > most {
		cut = fmt.Sprintf("\n… and %d bytes more", len(text)-most)
		text = text[:most]
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.aside()
	fmt.Fprintf(w, "\n  ┌ %s received: from <%s> to <%s>\n", who, from, strings.Join(to, ">, <"))
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for l := range strings.SplitSeq(text+cut, "\n") {
		fmt.Fprintf(w, "  │ %s\n", l)
	}
	fmt.Fprintf(w, "  └\n")
}
