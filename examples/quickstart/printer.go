package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// A printer keeps what several goroutines have to tell apart.
type printer struct {
	mu sync.Mutex // guards w, so that no two texts mix
	w  io.Writer
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

// note prints a paragraph.
func (p *printer) note(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Fprintf(p.w, format+"\n", args...)
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
	fmt.Fprintf(p.w, "\n  ┌ %s received: from <%s> to <%s>\n", who, from, strings.Join(to, ">, <"))
	text = strings.TrimRight(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for l := range strings.SplitSeq(text+cut, "\n") {
		fmt.Fprintf(p.w, "  │ %s\n", l)
	}
	fmt.Fprintf(p.w, "  └\n")
}
