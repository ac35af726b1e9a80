"""A Django project in one file."""

import django
from django.conf import settings
from django.http import JsonResponse, StreamingHttpResponse
from django.urls import include, path, re_path

import sondage

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "sondage.integrations.django.middleware",
        f"{__name__}.SynchronousMiddleware",
    ],
    INSTALLED_APPS=["rest_framework"],
    REST_FRAMEWORK={
        "UNAUTHENTICATED_USER": None,
        "DEFAULT_AUTHENTICATION_CLASSES": [],
        "DEFAULT_PERMISSION_CLASSES": [],
    },
    SECRET_KEY="of a test",
)
django.setup()

from rest_framework.decorators import api_view  # noqa: E402
from rest_framework.response import Response  # noqa: E402


class SynchronousMiddleware:
    """One that is only synchronous: under ASGI Django moves from task to thread for it."""

    sync_capable = True
    async_capable = False

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        response = self.get_response(request)
        response["after"] = repr(sondage.current_labels())
        return response


def synchronous(request, **_):
    return JsonResponse(sondage.current_labels())


async def asynchronous(request, **_):
    return JsonResponse(sondage.current_labels())


@api_view(["GET"])
def rest(request, **_):
    return Response(sondage.current_labels())


def stream(request):
    return StreamingHttpResponse(repr(sondage.current_labels()) for _ in range(2))


def stream_async(request):
    async def parts():
        for _ in range(2):
            yield repr(sondage.current_labels())

    return StreamingHttpResponse(parts())


def not_found(request, exception):
    return JsonResponse(sondage.current_labels(), status=404)


handler404 = not_found

urlpatterns = [
    path("", synchronous),
    path("orders/<int:number>/", synchronous),
    path("async/<int:number>/", asynchronous),
    path("api/", include([path("items/<slug:name>/", rest), re_path("^old/(?P<n>[0-9]+)$", rest)])),
    path("stream/", stream),
    path("stream-async/", stream_async),
]
