package console

import (
	"net/http"
	"reflect"
	"strings"
	"time"
)

// An object is a part of the OpenAPI document.
type object = map[string]any

// writeOpenAPI writes the OpenAPI document of the API. It is made from the table
// of routes and the types of their parameters and views.
func writeOpenAPI(x *call, _ struct{}) error {
	x.writeJSON(http.StatusOK, "application/json", openAPI(x.console.router.routes))
	return nil
}

func openAPI(routes []route) object {
	d := &document{schemas: object{}}
	paths := object{}
	for _, r := range routes {
		item, _ := paths[r.path].(object)
		if item == nil {
			item = object{}
			paths[r.path] = item
		}
		item[strings.ToLower(r.method)] = d.operation(r)
	}
	return object{
		"openapi": "3.1.0",
		"info": object{"title": "Bridgehead console", "version": "1",
			"description": "Without confirm=yes, a POST that changes something only returns what it would do. Errors are application/problem+json (RFC 9457)."},
		"servers":  []object{{"url": "."}}, // relative to this document
		"security": []object{{"token": []string{}}},
		"paths":    paths,
		"components": object{
			"schemas":         d.schemas,
			"securitySchemes": object{"token": object{"type": "http", "scheme": "bearer"}},
		},
	}
}

// A document collects the schemas of the types.
type document struct{ schemas object }

func (d *document) operation(r route) object {
	op := object{"summary": r.summary, "x-role": r.role.String()}
	var query []object
	properties := object{}
	for _, f := range fieldsOf(r.params, "param") {
		schema := d.schema(f.typ)
		if f.name == "id" && strings.Contains(r.path, "{id}") {
			query = append(query, object{"name": "id", "in": "path", "required": true, "description": f.doc, "schema": schema})
			continue
		}
		if r.method == http.MethodGet {
			query = append(query, object{"name": f.name, "in": "query", "description": f.doc, "schema": schema})
			continue
		}
		schema["description"] = f.doc
		properties[f.name] = schema
	}
	if query != nil {
		op["parameters"] = query
	}
	if r.method == http.MethodPost {
		if r.report {
			properties["reason"] = object{"type": "string", "description": "Why, for the audit log."}
		} else {
			properties["confirm"] = object{"type": "string", "enum": []string{"yes"}, "description": "yes does the action. Otherwise nothing is changed."}
			properties["reason"] = object{"type": "string", "description": "Why, for the audit log. It is needed with confirm."}
		}
		body := object{"schema": object{"type": "object", "properties": properties, "additionalProperties": false}}
		content := object{"application/json": body, "application/x-www-form-urlencoded": body}
		if r.upload {
			content["multipart/form-data"] = body
		}
		op["requestBody"] = object{"required": true, "content": content}
	}
	ok := object{"description": "The answer."}
	switch {
	case r.view != nil:
		ok["content"] = object{"application/json": object{"schema": d.schema(r.view)}}
	case r.media != "":
		ok["content"] = object{r.media: object{}}
	}
	op["responses"] = object{
		"200":     ok,
		"default": object{"description": "An error.", "content": object{"application/problem+json": object{"schema": d.schema(reflect.TypeFor[problem]())}}},
	}
	return op
}

// schema returns the JSON schema of a type. That of a struct is a reference to a
// component.
func (d *document) schema(t reflect.Type) object {
	switch {
	case t.Kind() == reflect.Pointer:
		return d.schema(t.Elem())
	case t == reflect.TypeFor[time.Time]():
		return object{"type": "string", "format": "date-time"}
	case t.Implements(reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()):
		return object{"type": "string"}
	case reflect.PointerTo(t).Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]()):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": d.schema(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": d.schema(t.Elem())}
	case reflect.Struct:
		return d.component(t)
	}
	return object{"type": "integer"}
}

func (d *document) component(t reflect.Type) object {
	ref := object{"$ref": "#/components/schemas/" + t.Name()}
	if d.schemas[t.Name()] != nil {
		return ref
	}
	properties, required := object{}, []string{}
	d.schemas[t.Name()] = object{} // for a type that contains itself
	for _, f := range fieldsOf(t, "json") {
		schema := d.schema(f.typ)
		if f.doc != "" {
			schema["description"] = f.doc
		}
		properties[f.name] = schema
		if !f.omit {
			required = append(required, f.name)
		}
	}
	schema := object{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	d.schemas[t.Name()] = schema
	return ref
}
