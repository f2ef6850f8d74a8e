"""Pages of products. A page counts its visits, which are on another database."""

import json

from django.http import HttpRequest, JsonResponse
from django.shortcuts import get_object_or_404
from django.views.decorators.http import require_GET, require_http_methods

from catalog.models import Product
from visits.models import Visit


@require_http_methods(["GET", "POST"])
def products(request: HttpRequest) -> JsonResponse:
    """List the products, or add one: `{"name": ..., "price_cents": ...}`."""
    if request.method == "POST":
        body = json.loads(request.body)
        added = Product.objects.create(name=body["name"], price_cents=body["price_cents"])
        return JsonResponse({"id": added.pk}, status=201)
    return JsonResponse({"products": list(Product.objects.order_by("pk").values("id", "name"))})


@require_GET
def product(_request: HttpRequest, key: int) -> JsonResponse:
    """Show a product, with the number of its visits and this one."""
    found = get_object_or_404(Product, pk=key)
    Visit.objects.create(product_id=key)
    return JsonResponse({"name": found.name, "visits": Visit.objects.filter(product_id=key).count()})
