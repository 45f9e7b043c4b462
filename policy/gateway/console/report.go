package console

import (
	"net/http"
	"reflect"
	"time"
)

// report is a POST for operators that changes nothing, but connects to other hosts
// or reads much: its answer is a view, and there is no confirmation. The audit log
// has it, with the reason if the client gives one. title is the action in words.
func report[P, V any](path, title, template, summary string, handle func(*call, P) (*V, error)) route {
	return route{
		method: http.MethodPost, path: path, role: Operator, title: title, template: template, summary: summary,
		bound: boundReport, report: true,
		params: reflect.TypeFor[P](), view: reflect.TypeFor[V](),
		handle: func(x *call) (any, error) {
			p, err := decode[P](x)
			if err != nil {
				return nil, err
			}
			http.NewResponseController(x.w).SetWriteDeadline(time.Now().Add(maxTime + readTime)) // an error means that the writer has no deadline
			e := x.console.audit.begin(x, &plan{Title: title})
			v, err := handle(x, p)
			x.console.audit.end(e, 1, err)
			if err != nil {
				return nil, err
			}
			return v, nil
		},
	}
}
