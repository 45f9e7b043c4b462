package console

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// A page is what a template gets.
type page struct {
	call  *call
	Title string
	Host  string // the name of the relay
	Menu  []menuItem
	Done  *auditEntry // the action that was just done, or nil
	View  any
	Now   time.Time
}

type menuItem struct {
	Text, Path string
	Current    bool
}

// Link returns the URL of a page: see call.link.
func (p *page) Link(path string, query ...any) string { return p.call.link(path, query...) }

// Self returns the URL of this page with another value of one parameter.
func (p *page) Self(name, value string) string {
	query := []any{}
	for _, h := range p.Hidden() {
		query = append(query, h.Name, h.Value)
	}
	return p.call.link(p.call.path, append(query, name, value)...)
}

// Hidden returns the parameters of the filter of this page.
func (p *page) Hidden() []hidden {
	return slices.DeleteFunc(p.call.hidden(&plan{}), func(h hidden) bool {
		return h.Value == "" || h.Name == "after" || h.Name == "cursor" || h.Name == "limit"
	})
}

// Subjects reports whether the client may see subjects.
func (p *page) Subjects() bool { return !p.call.hidesSubjects() }

// Operator reports whether the client is an operator.
func (p *page) Operator() bool { return p.call.access.Role == Operator }

// Name returns the name of the client, or "" if it has none yet.
func (p *page) Name() string { return p.call.access.Name }

// Role returns the role of the client.
func (p *page) Role() Role { return p.call.access.Role }

// Token reports whether the client has the token, which it can forget.
func (p *page) Token() bool {
	_, socket := peerOf(p.call.r)
	return p.call.console.Authorize == nil && !socket && p.call.access.Role != 0
}

// answer writes a view, as JSON or as a page.
func (x *call) answer(view any) error {
	if x.json || x.route.template == "" {
		x.writeJSON(http.StatusOK, "application/json", view)
		return nil
	}
	x.writePage(http.StatusOK, x.route.template, x.route.title, view)
	return nil
}

func (x *call) writeJSON(status int, media string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		x.console.log.Error("console: an answer cannot be written", "path", x.path, "error", err)
		status, media, body = http.StatusInternalServerError, "application/problem+json", []byte(`{"type":"about:blank","title":"Internal Server Error","status":500}`)
	}
	x.write(status, media, append(body, '\n'))
}

func (x *call) writePage(status int, template, title string, view any) {
	p := &page{call: x, Title: title, Host: x.console.Gateway.Hostname, View: view, Now: time.Now()}
	if x.access.Role != 0 {
		p.Menu = x.menu()
		p.Done = x.done()
	}
	var b bytes.Buffer
	if err := x.console.pages.write(&b, template, p); err != nil {
		x.console.log.Error("console: a page cannot be written", "path", x.path, "error", err)
		x.write(http.StatusInternalServerError, "text/plain; charset=utf-8", []byte(errInternal+"\n"))
		return
	}
	x.write(status, "text/html; charset=utf-8", b.Bytes())
}

// write writes a whole answer.
func (x *call) write(status int, media string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", media)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Add("Vary", "Accept")
	x.w.WriteHeader(status)
	if x.r.Method != http.MethodHead {
		x.w.Write(body)
	}
}

// menu returns the pages that the client may see.
func (x *call) menu() (items []menuItem) {
	for _, r := range x.console.router.routes {
		if r.nav != "" && x.access.Role >= r.role {
			items = append(items, menuItem{Text: r.nav, Path: r.path, Current: r.path == x.path})
		}
	}
	return items
}

// done returns the action of the client that the page reports. The URL has only
// its number, so that a link cannot make the page report something else.
func (x *call) done() *auditEntry {
	id, err := strconv.ParseInt(x.form.Get("done"), 10, 64)
	if err != nil {
		return nil
	}
	if e, found := x.console.audit.find(id); found && e.Name == x.access.Name && time.Since(e.Time) < time.Hour {
		return &e
	}
	return nil
}
