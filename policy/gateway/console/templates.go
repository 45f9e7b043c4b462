package console

import (
	"fmt"
	"html/template"
	"io"
	"net/url"
	"path"
	"strconv"
	"strings"
	"text/template/parse"
	"time"
)

// templates has one template per page. Each of them is layout.html and parts.html
// with the template of the page, which defines "main".
type templates struct{ byName map[string]*template.Template }

func newTemplates() *templates {
	t := &templates{byName: map[string]*template.Template{}}
	base := template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "templates/layout.html", "templates/parts.html"))
	entries, _ := files.ReadDir("templates")
	for _, e := range entries {
		if e.Name() == "layout.html" || e.Name() == "parts.html" {
			continue
		}
		one := template.Must(template.Must(base.Clone()).ParseFS(files, path.Join("templates", e.Name())))
		for _, defined := range one.Templates() {
			if defined.Tree != nil {
				makeInert(defined.Tree.Root)
			}
		}
		t.byName[e.Name()] = one
	}
	return t
}

func (t *templates) write(w io.Writer, name string, p *page) error {
	one := t.byName[name]
	if one == nil {
		return fmt.Errorf("there is no template %s", name)
	}
	return one.ExecuteTemplate(w, "layout.html", p)
}

// makeInert adds the function inert to each value that a template writes, as
// html/template adds its escapes. So no template can forget it.
func makeInert(n parse.Node) {
	switch n := n.(type) {
	case *parse.ListNode:
		if n == nil {
			return
		}
		for _, one := range n.Nodes {
			makeInert(one)
		}
	case *parse.ActionNode:
		if len(n.Pipe.Decl) == 0 && !isInertPipe(n.Pipe) {
			name := parse.NewIdentifier("inert").SetTree(nil).SetPos(n.Pos)
			n.Pipe.Cmds = append(n.Pipe.Cmds, &parse.CommandNode{NodeType: parse.NodeCommand, Pos: n.Pos, Args: []parse.Node{name}})
		}
	case *parse.IfNode:
		makeInert(n.List)
		makeInert(n.ElseList)
	case *parse.RangeNode:
		makeInert(n.List)
		makeInert(n.ElseList)
	case *parse.WithNode:
		makeInert(n.List)
		makeInert(n.ElseList)
	}
}

// isInertPipe reports whether inert was added already: the clones share the
// trees of the layout.
func isInertPipe(p *parse.PipeNode) bool {
	last := p.Cmds[len(p.Cmds)-1]
	id, is := last.Args[0].(*parse.IdentifierNode)
	return is && id.Ident == "inert"
}

// A messageTable is what the template messagetable gets.
type messageTable struct {
	Page *page
	Name string
	Rows []messageRow
}

// A timelineTable is what the template timelinerows gets.
type timelineTable struct {
	Page *page
	ID   string
	Rows []trackingRow
}

// functions are the functions of the templates.
var functions = template.FuncMap{
	"inert":   inertValue,
	"exact":   func(s string) exact { return exact(s) },
	"asset":   assetPath,
	"number":  formatNumber,
	"bytes":   formatBytes,
	"time":    formatTime,
	"age":     func(t time.Time) string { return formatAge(time.Since(t)) },
	"until":   func(t time.Time) string { return formatAge(time.Until(t)) },
	"seconds": func(s float64) string { return formatAge(time.Duration(s * float64(time.Second))) },
	"rate":    formatRate,
	"input":   formatInput,
	// nonzero is for a parameter of a link: 0 is left out.
	"nonzero": func(n int) string { return strings.TrimPrefix(strconv.Itoa(n), "0") },
	// yes is for a parameter of a link: false is left out.
	"yes": func(b bool) string {
		if b {
			return "yes"
		}
		return ""
	},
	"queuepath":       func(key string) string { return "/queues/" + url.PathEscape(key) },
	"messagepath":     func(id string) string { return "/messages/" + url.PathEscape(id) },
	"trackingpath":    func(id string) string { return "/tracking/" + url.PathEscape(id) },
	"contentpath":     func(id string) string { return "/messages/" + url.PathEscape(id) + "/content" },
	"isparent":        func(domain string) bool { return strings.HasPrefix(domain, ".") },
	"rows":            func(p *page, rows []messageRow) messageTable { return messageTable{p, "Messages", rows} },
	"named":           func(name string, p *page, rows []messageRow) messageTable { return messageTable{p, name, rows} },
	"timeline":        func(p *page, id string, rows []trackingRow) timelineTable { return timelineTable{p, id, rows} },
	"messagestatuses": func() []string { return messageStatuses },
	"statuses":        func() []string { return queueStatuses },
	"sessionstates":   func() []string { return sessionStates },
	"events":          func() []string { return trackingEvents },
	"loglevels":       func() []string { return logLevels },
	"orders":          func() []string { return queueOrderNames },
}
